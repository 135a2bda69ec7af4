/**
 * A TCP server whose lines are answered by a pool. The parent holds the sockets, and a process for each CPU does the work,
 * however many clients there are. With --threads a pool of threads.
 */
import { pbkdf2Sync } from 'node:crypto';
import { createServer } from 'node:net';
import { Pool } from 'manyhands';
import { receive } from './client.mts';
import { converse } from './lines.mts';

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid})`;
};

const pool = new Pool({ kind: process.argv.includes('--threads') ? 'thread' : 'process' });
const server = createServer({ allowHalfOpen: true }, socket =>
  converse(socket, line => pool.run(answer, [line])),
);
await receive(server);
await pool.terminate();

// Output:
// hello → HELLO (process …)
// how are you? → HOW ARE YOU? (process …)
// good morning → GOOD MORNING (process …)
// Output of --threads:
// hello → HELLO (process <server>)
// how are you? → HOW ARE YOU? (process <server>)
// good morning → GOOD MORNING (process <server>)
