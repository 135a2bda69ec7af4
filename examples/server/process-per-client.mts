/**
 * A TCP server with one process for each client. By the start method 'fork' the child has the socket among its arguments as it
 * is, and the parent only accepts. Started by `manyhands run`.
 */
import { pbkdf2Sync } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { getContext } from 'manyhands';
import { receive } from './client.mts';
import { converse } from './lines.mts';

const { Process } = getContext('fork');

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid})`;
};
const serve = (socket: Socket) => converse(socket, answer);

const server = createServer({ allowHalfOpen: true }, socket => {
  new Process({ target: serve, args: [socket] }).start();
  socket.destroy(); // the child has it, too
});
await receive(server);

// Output:
// hello → HELLO (process <one>)
// how are you? → HOW ARE YOU? (process <one>)
// good morning → GOOD MORNING (process <other>)
