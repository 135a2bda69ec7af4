/**
 * A TCP server with one event loop for all. Who waits for the network costs it nothing; who has a dear line computed holds up
 * all others.
 */
import { pbkdf2Sync } from 'node:crypto';
import { createServer } from 'node:net';
import { receive } from './client.mts';
import { converse } from './lines.mts';

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid})`;
};

await receive(createServer({ allowHalfOpen: true }, socket => converse(socket, answer)));

// Output:
// hello → HELLO (process <server>)
// how are you? → HOW ARE YOU? (process <server>)
// good morning → GOOD MORNING (process <server>)
