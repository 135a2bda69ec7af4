/**
 * A TCP server that calls fork() for each client. The child goes on from that line, in the midst of the callback, with the
 * socket: so have servers been written for fifty years. Started by `manyhands run`.
 */
import { pbkdf2Sync } from 'node:crypto';
import { createServer } from 'node:net';
import { fork } from 'manyhands';
import { receive } from './client.mts';
import { converse } from './lines.mts';

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid})`;
};

const server = createServer({ allowHalfOpen: true }, async socket => {
  if (fork() > 0) return void socket.destroy(); // the child has it, too
  server.close(); // that is the parent's
  await converse(socket, answer);
  process.exit(); // what else the parent was at is none of the child's business
});
await receive(server);

// Output:
// hello → HELLO (process <one>)
// how are you? → HOW ARE YOU? (process <one>)
// good morning → GOOD MORNING (process <other>)
