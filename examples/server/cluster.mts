/**
 * A TCP server by Node's own means for several CPUs, node:cluster. It starts this program once for each CPU, and shares the
 * connections out. Each of them is a plain server.
 */
import cluster from 'node:cluster';
import { pbkdf2Sync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { cpuCount } from 'manyhands';
import { visit } from './client.mts';
import { converse } from './lines.mts';

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid})`;
};

if (cluster.isPrimary) {
  const workers = Array.from({ length: Math.max(2, cpuCount()) }, () => cluster.fork());
  const [[{ port }]] = await Promise.all(workers.map(worker => once(worker, 'listening')));
  if (process.argv[2] === 'listen') console.log(port);
  else {
    await visit(port);
    cluster.disconnect();
  }
} else createServer({ allowHalfOpen: true }, socket => converse(socket, answer)).listen(0, '127.0.0.1');

// Output:
// hello → HELLO (process <one>)
// how are you? → HOW ARE YOU? (process <one>)
// good morning → GOOD MORNING (process <other>)
