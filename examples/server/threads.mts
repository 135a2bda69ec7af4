/**
 * A TCP server with one thread for each client. Sockets do not cross to threads either: the main thread keeps them, and passes
 * lines there and back through a pipe. All is in one process.
 */
import { pbkdf2Sync } from 'node:crypto';
import { createServer } from 'node:net';
import { type Connection, currentThread, Pipe, Thread } from 'manyhands';
import { receive } from './client.mts';
import { converse } from './lines.mts';

const answer = (line: string) => {
  if (line.startsWith('*')) pbkdf2Sync(line, 'salt', 20_000, 32, 'sha256'); // a dear line: computes for some ms
  return `${line.toUpperCase()} (process ${process.pid}, ${currentThread().name})`;
};
const serve = async (end: Connection<string>) => {
  for await (const line of end) await end.send(answer(line)).catch(() => {}); // the client may have gone
};

const server = createServer({ allowHalfOpen: true }, async socket => {
  const [ours, theirs] = Pipe<string>();
  new Thread({ target: serve, args: [theirs] }).start();
  theirs.close(); // the thread has its own
  await converse(socket, async line => {
    await ours.send(line);
    return ours.recv();
  });
  ours.close(); // ends the thread's loop
});
await receive(server);

// Output:
// hello → HELLO (process <server>, <one>)
// how are you? → HOW ARE YOU? (process <server>, <one>)
// good morning → GOOD MORNING (process <server>, <other>)
