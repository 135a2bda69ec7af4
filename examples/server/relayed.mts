/**
 * A TCP server with one process for each client, in any program. Sockets do not cross to processes that are not forked from
 * this one, so the parent keeps them, and passes lines there and back through a pipe.
 */
import { pbkdf2Sync } from 'node:crypto';
import { createServer } from 'node:net';
import { type Connection, Pipe, Process } from 'manyhands';
import { receive } from './client.mts';
import { converse } from './lines.mts';

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid})`;
};
const serve = async (end: Connection<string>) => {
  for await (const line of end) await end.send(answer(line)).catch(() => {}); // the client may have gone
};

const server = createServer({ allowHalfOpen: true }, async socket => {
  const [ours, theirs] = Pipe<string>();
  new Process({ target: serve, args: [theirs] }).start();
  theirs.close(); // the child has its own
  await converse(socket, async line => {
    await ours.send(line);
    return ours.recv();
  });
  ours.close(); // ends the child's loop
});
await receive(server);

// Output:
// hello → HELLO (process <one>)
// how are you? → HOW ARE YOU? (process <one>)
// good morning → GOOD MORNING (process <other>)
