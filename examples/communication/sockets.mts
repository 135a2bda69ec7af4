/*
 * Sockets join processes that share nothing but an address. One end listens, the other connects; then both send and receive values,
 * by a Unix socket on this machine, or by TCP on any. Both have proved before that they know the program's key.
 */
import { connect, Listener, Process } from 'manyhands';

const call = async (address: Listener['address']) => {
  using line = await connect({ address });
  await line.send({ question: 6n, of: ['numbers', 'big ones'] });
  return await line.recv();
};

const addresses = { 'Unix socket': `\0answers-${process.pid}`, TCP: { host: '127.0.0.1', port: 0 } };
for (const [kind, address] of Object.entries(addresses)) {
  await using listener = await new Listener({ address }).listen(); // port 0: the system chooses one
  const caller = new Process({ target: call, args: [listener.address] }).start();
  using line = await listener.accept();
  const { question } = await line.recv();
  await line.send(question * 7n);
  console.log(`${kind}: asked for ${question}, answered ${await caller.result()}`);
  await caller.join();
}

// Output:
// Unix socket: asked for 6, answered 42
// TCP: asked for 6, answered 42
