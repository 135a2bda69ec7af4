import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { EventFlag } from '../sync/event-flag.js';
import { forked } from '../testing/carriers.js';
import { leavesNothing } from '../testing/leaks.js';
import { Program } from '../testing/programs.js';
import { LIMIT } from '../testing/sharing.js';
import { BaseManager, type RemoteProxy } from './base-manager.js';
import { type Counter, type Shelf, type Slow, TestManager } from './testing/objects.js';

leavesNothing({ warm: () => forked.start(() => {}).join() });

const PROGRAM = path.join(__dirname, 'testing', 'server-program.js');
const authkey = Buffer.from('a key of their own');
type Address = string | { host: string; port: number };

const programs: Program[] = [];
after(() => Promise.all(programs.map(one => one.kill())));

function program(): Program {
  const one = new Program(PROGRAM);
  programs.push(one);
  return one;
}

function serve(one: Program, address: Address): Promise<Address> {
  return one.call('serve', address, String(authkey));
}

for (const [name, address] of [
  ['TCP', { host: '127.0.0.1', port: 0 }],
  ['a Unix socket', path.join(tmpdir(), 'manager')],
] as const)
  test(`a server in one program, clients in others, over ${name}; both killed`, LIMIT, async () => {
    const [server, client] = [program(), program()];
    const at = await serve(server, address);
    const manager = new TestManager({ address: at, authkey });
    assert.deepEqual(manager.address, at);
    await manager.connect();
    await using shared = await manager.create<Counter>('shared');
    assert.equal(await client.call('add', at, String(authkey), 5), 105);
    assert.equal(await shared.get(), 105);
    const slow = await manager.create<Slow>('Slow');
    await client.call('waitForEver');
    await client.kill();
    for (let ends: string[] = []; ends.length < 2; ends = await slow.ends());
    assert.deepEqual(await slow.ends(), ['aborted', 'a program ended']);
    assert.deepEqual(await slow.echo({ a: [1] }), { a: [1] });
    await using flag = new EventFlag();
    await assert.rejects(slow.echo([flag]), { name: 'SerializationError', path: 'args[0][0]' });

    const lost = assert.rejects(slow.wait(), { name: 'ClosedError', message: /has ended/ });
    await server.kill();
    await lost;
    await assert.rejects(slow.ends(), { name: 'ClosedError' });
    await manager.shutdown();

    const next = program();
    assert.deepEqual(await serve(next, at), at);
    await assert.rejects(shared.get(), { name: 'ClosedError' });
    const again = await new TestManager({ address: at, authkey }).connect();
    assert.equal(await (await again.create<Counter>('shared')).get(), 100);
    await next.call('stop');
    await again.shutdown();
    if (typeof at === 'string' && !at.startsWith('\0')) assert.equal(existsSync(at), false);
  });

describe('a server in this program', LIMIT, () => {
  test('serves until it is stopped, and tells where', async () => {
    const manager = new TestManager();
    const server = manager.getServer();
    const served = server.serveForever();
    await server.ready();
    const address = manager.address as string;
    await assert.rejects(manager.create('Counter'), {
      name: 'LifecycleError',
      message: /connect\(\) another/,
    });
    const [one, other] = [new TestManager({ address }), new TestManager({ address })];
    await Promise.all([one.connect(), other.connect()]);
    const counter = await one.create<Counter>('Counter');
    await one.shutdown();
    assert.equal(await counter.add(2), 2); // `other` has the same connection
    // Another thread or process of the program has one of its own.
    const peer = forked.start(async (to: RemoteProxy<Counter>) => await to.add(3), counter);
    assert.equal(await peer.result(), 5);
    await peer.join();
    await server.stop();
    await served;
    await assert.rejects(counter.get(), { name: 'ClosedError' });
    assert.equal(existsSync(path.dirname(address)), false);
    await other.shutdown();
    await manager.shutdown();
    await assert.rejects(new TestManager({ address }).connect(), { code: 'ENOENT' });
  });

  test('another key, or none, is told of to whoever has it, who may try again', async () => {
    const manager = new TestManager({ address: { host: '127.0.0.1', port: 0 }, authkey });
    const server = manager.getServer();
    await server.ready();
    const { address } = manager;
    const wrong = new TestManager({ address, authkey: Buffer.from('another key') });
    await assert.rejects(wrong.connect(), { name: 'AuthenticationError' });
    await assert.rejects(wrong.connect(), { name: 'AuthenticationError' });
    await using right = await new TestManager({ address, authkey }).connect();
    assert.equal(await (await right.create<Counter>('Counter', 3)).get(), 3);
    await server.stop();
  });

  test('proxies of one server may be sent to another: within the family, or to who knows the key', async () => {
    const [first, second] = [
      new TestManager({ address: { host: '127.0.0.1', port: 0 }, authkey }),
      await new TestManager().start(),
    ];
    const server = first.getServer();
    await server.ready();
    const client = await new TestManager({ address: first.address, authkey }).connect();
    const counter = await client.create<Counter>('Counter', 8);
    const shelf = await second.create<Shelf>('Shelf');
    await shelf.set('counter', counter);
    assert.equal(await shelf.isCounter('counter'), false);
    const back = (await shelf.get('counter')) as RemoteProxy<Counter>;
    assert.equal(await back.add(1), 9);

    const elsewhere = program();
    const there = await serve(elsewhere, { host: '127.0.0.1', port: 0 });
    const remote = await new TestManager({ address: there, authkey }).connect();
    const slow = await remote.create<Slow>('Slow');
    await assert.rejects(slow.echo(counter), {
      name: 'SerializationError',
      message: /connect\(\) a manager/,
    });
    assert.equal(await slow.echo(3), 3);
    await Promise.all([second.shutdown(), client.shutdown(), remote.shutdown(), server.stop()]);
  });

  test('who does not answer is not waited for longer than one says; who is not there, not at all', async () => {
    const silent = new BaseManager({ address: { host: '127.0.0.1', port: 9 }, authkey });
    await assert.rejects(silent.connect({ timeout: 2000 }), { code: 'ECONNREFUSED' });
    await assert.rejects(silent.connect({ signal: AbortSignal.abort(5) }), e => e === 5);
    assert.throws(() => silent.getServer.call(5), TypeError);
  });
});
