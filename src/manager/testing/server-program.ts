import { answerCalls } from '../../testing/programs.js';
import type { RemoteProxy, Server } from '../base-manager.js';
import { type Counter, type Slow, TestManager } from './objects.js';

/* A program that serves, or uses what another serves. */

type Address = string | { host: string; port: number };

let server: Server | undefined;
let served: Promise<void> | undefined;
let manager: TestManager | undefined;
let counter: RemoteProxy<Counter> | undefined;

answerCalls({
  async serve(address: Address, key: string) {
    manager = new TestManager({ address, authkey: Buffer.from(key) });
    server = manager.getServer();
    served = server.serveForever();
    await server.ready();
    return manager.address;
  },
  async stop() {
    await server?.stop();
    await served;
  },
  async add(address: Address, key: string, n: number) {
    manager ??= await new TestManager({ address, authkey: Buffer.from(key) }).connect();
    counter ??= (await manager.create<Counter>('shared')) as RemoteProxy<Counter>;
    return await counter.add(n);
  },
  async waitForEver() {
    const slow = await (manager as TestManager).create<Slow>('Slow');
    await slow.noteMyEnd('a program');
    void slow.wait().catch(() => {});
    await slow.waiting();
  },
});
