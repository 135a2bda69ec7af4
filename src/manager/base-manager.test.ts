import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { inspect, promisify } from 'node:util';
import { loadModule } from '../codec/functions/modules.js';
import { ClosedError, LifecycleError } from '../errors/errors.js';
import { boundProcesses } from '../process/bound.js';
import { forked } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { LIMIT } from '../testing/sharing.js';
import { BaseManager, type RemoteProxy } from './base-manager.js';
import {
  Counter,
  Derived,
  OwnError,
  type Resource,
  type Shelf,
  type Slow,
  TestManager,
} from './testing/objects.js';

leavesNothing({ warm: () => forked.start(() => {}).join() });

describe('what a manager serves', LIMIT, () => {
  const manager = new TestManager();
  let slow: RemoteProxy<Slow>;
  before(async () => {
    await manager.start();
    slow = await manager.create<Slow>('Slow');
  });
  after(() => manager.shutdown());

  test('proxies have the methods of the class, inherited ones too, and run them in the server', async () => {
    const counter = await manager.create<Derived>('Derived', 5);
    assert.equal(await counter.add(2), 7);
    assert.equal(await counter.get(), 7);
    assert.equal(await counter.double(), 14);
    assert.equal(await counter.add(), 8);
    assert.notEqual(await slow.pid(), process.pid);
  });

  test('a proxy is no thenable, says what it stands for, and is let go of once', async () => {
    const counter = await manager.create<Counter>('Counter');
    assert.equal((counter as { then?: unknown }).then, undefined);
    assert.equal(await counter, counter);
    assert.match(inspect(counter), /^Proxy<Counter> \d+ at .*socket$/);
    await counter[Symbol.asyncDispose]();
    await counter[Symbol.asyncDispose]();
    assert.match(inspect(counter), /<disposed>$/);
    await assert.rejects(counter.get(), { name: 'ClosedError', message: /Counter\.get\(\).*disposed/ });
  });

  test('what is not exposed is refused by the server, whatever it is asked by', async () => {
    const narrow = await manager.create('Narrow', 3);
    assert.equal(await narrow.get(), 3);
    assert.equal(await narrow._inner(), 'of its own');
    await assert.rejects(narrow.add(1), { name: 'TypeError', message: /add of "Narrow".*not exposed/ });
    const counter = await manager.create('Counter');
    await assert.rejects(counter._inner(), { name: 'TypeError', message: /not exposed/ });
    for (const name of [
      'toString',
      'constructor',
      '__proto__',
      'hasOwnProperty',
      'secret',
      'n',
      'none',
      '',
      'then',
    ])
      await assert.rejects(counter.call(name, []), { name: 'TypeError', message: /there is no such method/ });
    assert.equal(counter.n, undefined);
    assert.equal(counter.secret, undefined);
    assert.equal(await counter.get(), 0);
  });

  test('errors come back with their class, properties and both stacks; the object goes on', async () => {
    const counter = await manager.create<Counter>('Counter');
    const error: unknown = await counter.fail('on purpose').then(assert.fail, thrown => thrown);
    assert.ok(error instanceof OwnError);
    assert.equal(error.message, 'on purpose');
    assert.equal(error.code, 'OWN');
    assert.match(String(error.stack), /at Counter\.fail[\s\S]*\(called from\)[\s\S]*base-manager\.test/);
    assert.equal(await counter.add(), 1);
  });

  test('arguments that cannot cross are told where, and nothing is sent', async () => {
    await assert.rejects(slow.echo({ a: [new WeakMap()] }), {
      name: 'SerializationError',
      path: 'args[0].a[0]',
    });
    await assert.rejects(
      slow.apply(() => new WeakMap()),
      { name: 'SerializationError' },
    );
    assert.equal(await slow.echo(1), 1);
  });

  test('values of all sorts and lengths, functions and classes cross both ways', async () => {
    const long = 'x'.repeat(300_000);
    const value = {
      long,
      map: new Map([[1, new Date(5)]]),
      big: 2n ** 70n,
      bytes: new Uint8Array(9),
    };
    assert.deepEqual(await slow.echo(value), value);
    assert.equal(await slow.apply((a: number) => a * 2, 21), 42);
    const twice = (await slow.echo((n: number) => n * 2)) as (n: number) => number;
    assert.equal(twice(4), 8);
    assert.equal((await slow.large(5_000_000)).length, 5_000_000);
    assert.equal(await slow.echo(undefined), undefined);
    assert.equal(await slow.echo(null), null);
  });

  test('functions of modules that must be awaited cross both ways, and calls stay in order', async () => {
    const file = path.join(tmpdir(), 'awaited.mjs');
    writeFileSync(file, 'await null; export const double = n => n * 2;');
    const { double } = (await loadModule(pathToFileURL(file).href)) as { double(n: number): number };
    const order: string[] = [];
    await Promise.all([
      slow.apply(double, 4).then(n => order.push(`double ${n}`)),
      slow.echo(1).then(n => order.push(`echo ${n}`)),
      slow.echo([double]).then(back => order.push(`same ${(back as unknown[])[0] === double}`)),
    ]);
    assert.deepEqual(order, ['double 8', 'echo 1', 'same true']);
    await using other = await new TestManager().start();
    const fresh = await other.create<Slow>('Slow');
    writeFileSync(file, 'await null; throw new Error("not to be loaded")');
    await assert.rejects(fresh.apply(double, 4), { message: 'not to be loaded' });
    assert.equal(await fresh.echo(2), 2);
    rmSync(file);
  });

  test('calls are answered as they end; those of one connection begin in order', async () => {
    const order: string[] = [];
    const waiting = slow.wait().then(value => order.push(`waited for ${value}`));
    const counts = await Promise.all(
      Array.from({ length: 1000 }, (_, i) => slow.echo(i).then(n => order.push(String(n)))),
    );
    assert.equal(counts.length, 1000);
    assert.deepEqual(
      order,
      Array.from({ length: 1000 }, (_, i) => String(i)),
    );
    await slow.release('this');
    await waiting;
    assert.equal(order.at(-1), 'waited for this');
  });

  test('factories are functions too, async or not; what they give may be shared', async () => {
    const later = await manager.create<{ value(): number }>('later', 7);
    assert.equal(await later.value(), 7);
    const [one, other] = [await manager.create<Counter>('shared'), await manager.create<Counter>('shared')];
    await one.add(5);
    assert.equal(await other.get(), 105);
    await one[Symbol.asyncDispose]();
    assert.equal(await other.get(), 105);
    await assert.rejects(manager.create('failing'), { name: 'OwnError' });
    await assert.rejects(manager.create('nothing'), { name: 'TypeError', message: /gave null/ });
    await assert.rejects(manager.create('unknown'), {
      name: 'RangeError',
      message: /"unknown".*register\(\)/,
    });
    await assert.rejects(manager.create(5 as never), TypeError);
  });

  test('a built-in class can be served, and iterated', async () => {
    const map = await manager.create('Map', [['a', 1]]);
    await map.set('b', 2);
    assert.equal(await map.get('b'), 2);
    const found: unknown[] = [];
    for await (const entry of map as unknown as AsyncIterable<unknown>) found.push(entry);
    assert.deepEqual(found, [
      ['a', 1],
      ['b', 2],
    ]);
    const keys: unknown[] = [];
    for await (const key of (await map.keys()) as AsyncIterable<unknown>) keys.push(key);
    assert.deepEqual(keys, ['a', 'b']);
  });

  test('generators are pulled value by value, and end when nobody pulls any more', async () => {
    await slow.forget();
    const all: unknown[] = [];
    for await (const n of (await slow.count(3)) as unknown as AsyncIterable<number>) {
      all.push(n);
      assert.equal((await slow.ends()).at(-1), `made ${n}`);
    }
    assert.deepEqual(all, [0, 1, 2]);
    await slow.forget();
    for await (const n of (await slow.count(1e9)) as unknown as AsyncIterable<number>) if (n === 2) break;
    assert.deepEqual(await slow.ends(), ['made 0', 'made 1', 'made 2', 'generator ended']);
    for await (const n of (await slow.countSlowly(2)) as AsyncIterable<number>) all.push(n);
    assert.deepEqual(all, [0, 1, 2, 0, 1]);
    const broken = (await slow.broken()) as unknown as AsyncIterator<number>;
    assert.deepEqual(await broken.next(), { done: false, value: 1 });
    await assert.rejects(broken.next(), { name: 'OwnError' });
  });

  test('who gives up a call tells the server, and is told what became of it', async () => {
    await slow.forget();
    const proxy = slow as unknown as { call(...args: unknown[]): Promise<unknown> };
    await assert.rejects(
      proxy.call('wait', [], { signal: AbortSignal.abort('before') }),
      e => e === 'before',
    );
    const giveUp = new AbortController();
    const given = proxy.call('wait', [], { signal: giveUp.signal });
    await slow.waiting();
    giveUp.abort('enough');
    await assert.rejects(given, error => error === 'enough');
    assert.deepEqual(await slow.ends(), ['aborted']);
    await assert.rejects(proxy.call('waitStubbornly', [], { timeout: 5 }), { name: 'TimeoutError' });
    await slow.release('too late');
    assert.deepEqual(await slow.ends(), ['aborted', 'lost']);
    assert.equal(await proxy.call('answerWhenAborted', [], { timeout: 5 }), 'had its effect');
    assert.equal(await slow.echo(5), 5);
  });

  test('objects that are served come back as proxies, within others too, and stay the object', async () => {
    const counter = await manager.create<Counter>('Counter', 1);
    const shelf = await manager.create<Shelf>('Shelf');
    const self = (await counter.self()) as unknown as RemoteProxy<Counter>;
    await self.add(1);
    assert.equal(await counter.get(), 2);
    await shelf.set('counter', counter);
    assert.equal(await shelf.isCounter('counter'), true);
    await counter.add(1);
    const [[key, kept]] = (await shelf.entries()) as [string, RemoteProxy<Counter>][];
    assert.equal(key, 'counter');
    assert.equal(await kept.get(), 3);
    const [one, same] = (await slow.echo([counter, counter])) as RemoteProxy<Counter>[];
    assert.equal(one, same);
  });

  test('an object is dropped with its last proxy; what it holds stays; what was made for it is disposed of', async () => {
    const count = await manager.numberOfObjects();
    await slow.forget();
    const resource = await manager.create<Resource>('Resource', 'one');
    const part = (await resource.part()) as unknown as RemoteProxy<Resource>;
    assert.equal(await part.name(), "one's part");
    assert.equal(await manager.numberOfObjects(), count + 2);
    await part[Symbol.asyncDispose]();
    assert.deepEqual(await slow.ends(), ["one's part disposed"]);
    const again = (await resource.self()) as unknown as RemoteProxy<Resource>;
    await resource[Symbol.asyncDispose]();
    assert.equal(await again.name(), 'one');
    await again[Symbol.asyncDispose]();
    assert.deepEqual(await slow.ends(), ["one's part disposed", 'one disposed']);
    assert.equal(await manager.numberOfObjects(), count);
    const shelf = await manager.create<Shelf>('Shelf');
    const kept = await manager.create<Counter>('Counter', 4);
    await shelf.set('kept', kept);
    await kept[Symbol.asyncDispose]();
    const found = (await shelf.get('kept')) as RemoteProxy<Counter>;
    assert.equal(await found.get(), 4);
    await found[Symbol.asyncDispose]();
    await shelf[Symbol.asyncDispose]();
    assert.equal(await manager.numberOfObjects(), count);
  });

  test('a proxy that nobody has any more is collected, and its object dropped', async () => {
    const count = await manager.numberOfObjects();
    await (async () => {
      for (let i = 0; i < 10; i++) await manager.create('Counter');
    })();
    for (let tries = 0; (await manager.numberOfObjects()) > count; tries++) {
      assert.ok(tries < 100);
      await collect();
    }
  });
});

test('the life of a manager has one order, which is told', LIMIT, async () => {
  const manager = new TestManager();
  assert.throws(() => manager.address, LifecycleError);
  await assert.rejects(manager.create('Counter'), {
    name: 'LifecycleError',
    message: /start\(\) or connect\(\)/,
  });
  await assert.rejects(manager.connect(), { name: 'LifecycleError', message: /no "address"/ });
  assert.equal(await manager.start(), manager);
  const folder = path.dirname(manager.address as string);
  assert.equal(statSync(folder).mode & 0o777, 0o700);
  await assert.rejects(manager.start(), { name: 'LifecycleError', message: /has started/ });
  await assert.rejects(manager.connect(), LifecycleError);
  assert.throws(() => manager.getServer(), LifecycleError);
  const counter = await manager.create('Counter');
  await Promise.all([manager.shutdown(), manager.shutdown()]);
  await manager[Symbol.asyncDispose]();
  assert.equal(existsSync(folder), false);
  await assert.rejects(counter.get(), { name: 'ClosedError', message: /Counter\.get\(\).*has ended/ });
  await assert.rejects(manager.create('Counter'), ClosedError);
  await assert.rejects(manager.start(), LifecycleError);
});

test('what is wrong with arguments is told', async () => {
  for (const options of [5, null, { address: 5 }, { address: { host: 'a' } }, { authkey: 'text' }])
    assert.throws(() => new BaseManager(options as never), TypeError);
  assert.throws(() => new BaseManager({ address: '' }), RangeError);
  assert.throws(() => new BaseManager({ address: { host: '127.0.0.1', port: 0 } }), {
    name: 'TypeError',
    message: /authkey/,
  });
  class Own extends BaseManager {}
  assert.throws(() => Own.register(5 as never), TypeError);
  assert.throws(() => Own.register('x', 5 as never), TypeError);
  assert.throws(() => Own.register('x', Counter, { exposed: 'get' as never }), TypeError);
  for (const name of ['then', 'constructor', '__proto__'])
    assert.throws(() => Own.register('x', Counter, { exposed: [name] }), RangeError);
});

test(
  'registrations are those of the class and of what it extends; classes without a module cross too',
  LIMIT,
  async () => {
    class Local {
      #n = 1;
      next() {
        return this.#n++;
      }
    }
    class Own extends TestManager {}
    Own.register('Local', Local);
    Own.register('Counter', Derived);
    Own.register('wrong', Counter, { exposed: ['nowhere'] });
    await using manager = await new Own().start();
    const local = await manager.create<Local>('Local');
    assert.deepEqual([await local.next(), await local.next()], [1, 2]);
    assert.equal(await (await manager.create<Derived>('Counter', 2)).double(), 4);
    await assert.rejects(manager.create('wrong'), {
      name: 'TypeError',
      message: /"nowhere".*no such method/,
    });
  },
);

test('the initializer runs first, in the server; its failure is that of start()', LIMIT, async () => {
  await using manager = new TestManager();
  const failing = (text: string) => {
    throw new OwnError(text);
  };
  await assert.rejects(manager.start({ initializer: failing, initargs: ['not today'] }), {
    name: 'OwnError',
    message: 'not today',
  });
  const initializer = (value: number) => {
    (globalThis as Record<string, unknown>).begun = value;
  };
  await manager.start({ initializer, initargs: [7] });
  const slow = await manager.create<Slow>('Slow');
  assert.equal(await slow.apply(() => (globalThis as Record<string, unknown>).begun), 7);
});

test(
  'a server that is killed rejects what is under way, and all that comes after, at once',
  LIMIT,
  async () => {
    for (const method of ['forkserver', 'spawn'] as const) {
      class Bound extends TestManager {
        protected override get startMethod() {
          return method;
        }
      }
      await using manager = await new Bound().start();
      const folder = path.dirname(manager.address as string);
      const slow = await manager.create<Slow>('Slow');
      const waiting = Array.from({ length: 10 }, () => slow.wait());
      process.kill(await slow.pid(), 'SIGKILL');
      for (const call of waiting)
        await assert.rejects(call, { name: 'ClosedError', message: /Slow\.wait\(\).*has ended/ });
      await assert.rejects(slow.pid(), { name: 'ClosedError' });
      await assert.rejects(manager.create('Counter'), { name: 'ClosedError' });
      await waitUntil(
        () => !existsSync(folder),
        () => 'the folder to be removed',
      );
    }
  },
);

test('a program ends though its manager runs, and leaves nothing', LIMIT, async () => {
  const source = `
    const { TestManager } = require(${JSON.stringify(path.join(__dirname, 'testing', 'objects.js'))});
    (async () => {
      const manager = await new TestManager().start();
      await (await manager.create('Counter')).add(1);
      console.log(manager.address);
    })();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', source]);
  assert.match(stdout, /manyhands-manager-/);
  assert.equal(existsSync(path.dirname(stdout)), false);
});

test(
  'a server ends with the process that started it, and its folder with the next server',
  LIMIT,
  async () => {
    const child = new boundProcesses.forkserver({
      target: async () => {
        const manager = await new TestManager().start();
        const slow = await manager.create<Slow>('Slow');
        const pid = await slow.pid();
        process.nextTick(() => {});
        return [pid, manager.address];
      },
    }).start();
    const [pid, address] = (await child.result()) as [number, string];
    child.kill();
    await child.join();
    await waitUntil(
      () => {
        try {
          process.kill(pid, 0);
          return false;
        } catch {
          return true;
        }
      },
      () => `process ${pid} to end`,
    );
    await using manager = await new TestManager().start();
    assert.notEqual(manager.address, address);
    assert.equal(existsSync(path.dirname(address)), false);
  },
);
