/** The other side of all servers here: two clients, who are in another process, as clients are. */
import { once } from 'node:events';
import { type AddressInfo, connect, type Server } from 'node:net';
import { createInterface } from 'node:readline';
import { Process } from 'manyhands';

/** A client: sends its lines, each when the one before is answered. */
async function talk(port: number, ...lines: string[]): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  const answers = createInterface({ input: socket })[Symbol.asyncIterator]();
  let story = '';
  for (const line of lines) {
    socket.write(`${line}\n`);
    story += `${line} → ${(await answers.next()).value}\n`;
  }
  socket.end();
  return story;
}

const both = (port: number) => Promise.all([talk(port, 'hello', 'how are you?'), talk(port, 'good morning')]);

/** Has both call at once, and prints what was said. */
export async function visit(port: number): Promise<void> {
  const clients = new Process({ target: both, args: [port] }).start();
  process.stdout.write((await clients.result()).join(''));
  await clients.join();
}

/**
 * Opens a server on a free port, has the clients come, and closes it. With the argument `listen` it stays open until it is
 * interrupted, and tells the port: for compare.mts, or for `nc 127.0.0.1 PORT` in a terminal.
 */
export async function receive(server: Server): Promise<void> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  if (process.argv[2] === 'listen') console.log(port);
  else void visit(port).then(() => server.close());
  await once(server, 'close');
}
