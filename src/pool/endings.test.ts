import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { OutOfMemoryError, RemoteError, SerializationError, WorkerDiedError } from '../errors/errors.js';
import { getLimit, setLimit, stats } from '../memory/allocator.js';
import type { Thread } from '../process/thread.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { CARRIERS, IS_THOROUGH, QUICK_CARRIERS, warmUp } from './fixtures/carriers.js';
import { double, later, who } from './fixtures/tasks.js';
import { Pool } from './pool.js';

/*
 * However a task ends, and wherever that happens, its promise settles with an error that says what happened, its worker is there
 * again, and no other task is lost.
 */
leavesNothing({ warm: warmUp });
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };
const MODULE = pathToFileURL(path.resolve(__dirname, '../../src/pool/fixtures/ends-on-import.mjs')).href;

/** Where a worker takes long to start, not every place is tried, as long as nobody asks for it. */
const MAIN_PLACES = 5;

type Act = 'exit' | 'kill' | 'throw';

/** Does it to the thread that it is called in. A thread cannot kill itself: `file` tells the test that it is to. */
function end(act: Act, file: string): void {
  const { writeFileSync } = require('node:fs') as typeof import('node:fs');
  const { isMainThread, threadId } = require('node:worker_threads') as typeof import('node:worker_threads');
  if (act === 'exit') process.exit(5);
  if (act === 'throw') throw new RangeError('on purpose');
  if (isMainThread) process.kill(process.pid, 'SIGKILL');
  writeFileSync(file, String(threadId));
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** An object with a property that makes promises take it for one of theirs. */
const withThen = (then: unknown): object => Object.fromEntries([['then', then]]);

interface Place {
  run(pool: Pool, act: Act, file: string): Promise<unknown>;
  /** What becomes of an error that is thrown there. `pool.stats.restarts` grows if the worker dies of it. */
  threw(error: any): void;
}

const itself = (error: unknown) => {
  assert.ok(error instanceof RangeError, String(error));
  assert.equal(error.message, 'on purpose');
};

const unread = (error: SerializationError) => {
  assert.ok(error instanceof SerializationError, String(error));
  assert.match(error.message, /"on purpose"/);
  assert.ok(error.cause instanceof RangeError);
};

const uncaught = (error: WorkerDiedError) => {
  assert.ok(error instanceof WorkerDiedError, String(error));
  assert.match(error.message, /^Cannot finish .* as PoolWorker-\d+ \(.*\) exited with code 1: /);
  itself(error.cause);
};

/** It is told on stderr, which is of no use here. */
const hush = () => {
  process.stderr.write = () => true;
};

const PLACES: Record<string, Place> = {
  'as its function is imported': {
    run: (pool, act, file) =>
      pool.run({ module: `${MODULE}?${act}=${encodeURIComponent(file)}`, export: 'any' }),
    threw: itself,
  },
  'as its arguments are read': {
    run: (pool, act, file) => {
      const here = who();
      class Argument {
        static {
          if (who() !== here) end(act, file);
        }
        value = 1;
      }
      return pool.run(later, [[new Argument()]]);
    },
    threw: unread,
  },
  'as what it captures is read': {
    run: (pool, act, file) => {
      const here = who();
      // biome-ignore lint/complexity/noStaticOnlyClass: it is about what happens when a class comes across
      class Captured {
        static {
          if (who() !== here) end(act, file);
        }
      }
      return pool.run(() => new Captured());
    },
    threw: unread,
  },
  'as it runs': {
    run: (pool, act, file) => pool.run(end, [act, file]),
    threw: itself,
  },
  'as it runs, its arguments in a block': {
    run: (pool, act, file) => pool.run((_: string) => end(act, file), ['x'.repeat(100_000)]),
    threw: itself,
  },
  'after it has awaited': {
    run: (pool, act, file) =>
      pool.run(async () => {
        await new Promise(resolve => setImmediate(resolve));
        end(act, file);
      }),
    threw: itself,
  },
  'in a timer, with its promise pending': {
    run: (pool, act, file) =>
      pool.run(() => {
        hush();
        setTimeout(end, 1, act, file);
        return new Promise(() => {});
      }),
    threw: uncaught,
  },
  'in a promise that nobody awaits': {
    run: (pool, act, file) =>
      pool.run(async () => {
        hush();
        void Promise.resolve().then(() => end(act, file));
        return new Promise(() => {});
      }),
    threw: uncaught,
  },
  'in a getter "then" of its result': {
    run: (pool, act, file) =>
      pool.run(() => Object.defineProperty({}, 'then', { get: () => end(act, file) })),
    threw: itself,
  },
  'in the "then" of its result': {
    run: (pool, act, file) => pool.run(() => withThen(() => end(act, file))) as Promise<unknown>,
    threw: itself,
  },
  'as its result is written': {
    run: (pool, act, file) =>
      pool.run(() => ({
        list: [
          {
            get value() {
              return end(act, file);
            },
          },
        ],
      })),
    threw: error => {
      unread(error);
      assert.equal(error.path, 'result.list[0].value');
    },
  },
  'as its result is written, of a map': {
    run: (pool, act, file) =>
      pool.map(
        (n: number) =>
          n === 2
            ? {
                get value() {
                  return end(act, file);
                },
              }
            : n,
        [1, 2, 3],
        { chunksize: 3 },
      ),
    threw: unread,
  },
  'as its error is written': {
    run: (pool, act, file) =>
      pool.run(() => {
        throw Object.defineProperty(new TypeError('thrown'), 'value', {
          enumerable: true,
          get: () => end(act, file),
        });
      }),
    threw: error => {
      assert.ok(error instanceof TypeError);
      assert.equal(error.message, 'thrown');
      assert.match(String((error as { notSent?: unknown }).notSent), /value/);
    },
  },
};

/** In the caller's thread: what ends that ends all. */
const PLACES_HERE: Record<string, (pool: Pool) => Promise<unknown>> = {
  'in a getter of an argument': pool => {
    const argument = {
      list: [
        {
          get value() {
            throw new RangeError('on purpose');
          },
        },
      ],
    };
    return pool.run(later, [argument]);
  },
  'in a getter of what its function captures': pool => {
    const captured = {
      get value() {
        throw new RangeError('on purpose');
      },
    };
    return pool.run(() => captured);
  },
  'as its result is read': pool => {
    const here = who();
    return pool.run(() => {
      class Result {
        static {
          if (who() === here) throw new RangeError('on purpose');
        }
        value = 1;
      }
      return [new Result()];
    });
  },
  'as the result of a map is read': pool => {
    const here = who();
    return pool.map(() => {
      class Result {
        static {
          if (who() === here) throw new RangeError('on purpose');
        }
        value = 1;
      }
      return new Result();
    }, [1, 2]);
  },
  'as its error is read': pool => {
    const here = who();
    return pool.run(() => {
      class Detail {
        static {
          if (who() === here) throw new RangeError('on purpose');
        }
        value = 1;
      }
      throw Object.assign(new Error('thrown'), { detail: new Detail() });
    });
  },
};

/** What `promise` rejects with, while other tasks run, wait, and come later. */
async function failureAmongOthers(pool: Pool, given: () => Promise<unknown>): Promise<any> {
  const some = () => Array.from({ length: 10 }, (_, i) => pool.run(later, [`task ${i}`]));
  const others = some();
  const failed = given().then(
    () => assert.fail('it returned'),
    error => error,
  );
  others.push(...some());
  assert.deepEqual(
    await Promise.all(others),
    others.map((_, i) => `task ${i % 10}`),
  );
  return failed;
}

for (const { carrier, options } of CARRIERS) {
  const isThread = options.kind === 'thread';
  describe(`a task in a pool of ${carrier}`, () => {
    for (const act of ['exit', 'kill', 'throw'] as const)
      test(`settles when its worker is to ${act}, wherever it is`, LIMIT, async () => {
        await using pool = new Pool(2, options);
        let deaths = 0;
        const file = path.join(tmpdir(), `${act}-me`);
        const places = Object.entries(PLACES);
        const isQuick = act === 'throw' || options.context?.method === 'forkserver';
        const share = isQuick || IS_THOROUGH ? 1 : Math.ceil(places.length / MAIN_PLACES);
        for (const [place, { run, threw }] of places.filter((_, i) => i % share === 0)) {
          const failed = failureAmongOthers(pool, () => run(pool, act, file));
          if (act === 'kill' && isThread) {
            await waitUntil(
              () => existsSync(file) && readFileSync(file, 'utf8') !== '',
              `a thread to end ${place}`,
              20_000,
            );
            const ident = Number(readFileSync(file, 'utf8')) + 1;
            rmSync(file);
            pool.workers.find(worker => (worker as Thread).ident === ident)?.terminate();
          }
          const error = await failed;
          try {
            if (act === 'throw') threw(error);
            else {
              assert.ok(error instanceof WorkerDiedError, String(error));
              const ending = act === 'exit' ? [5, null] : isThread ? [1, null] : ([null, 'SIGKILL'] as const);
              assert.deepEqual([error.exitCode, error.signalCode], ending);
              assert.match(
                error.message,
                isThread
                  ? /^Cannot finish .* as PoolWorker-\d+ \(a thread\) (exited with code 5|was terminated): run it again/
                  : /^Cannot finish .* as PoolWorker-\d+ \(process \d+\) (exited with code 5|was killed by SIGKILL): run it again/,
              );
            }
          } catch (cause) {
            throw new Error(`${act} ${place}: ${String(cause)}`, { cause });
          }
          if (error instanceof WorkerDiedError) deaths++;
          await waitUntil(() => pool.stats.restarts === deaths, `${deaths} deaths ${place}`);
        }
        assert.ok(pool.workers.every(worker => worker.isAlive()));
      });

    test('a worker that dies while the commons are full is replaced when they are not', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      const limit = getLimit();
      const exit = () => process.exit(3);
      await assert.rejects(pool.run(exit), WorkerDiedError);
      await pool.ready();
      setLimit(0);
      try {
        await assert.rejects(pool.run(exit), WorkerDiedError);
        assert.equal(await pool.run(double, [2]), 4, 'the other goes on');
      } finally {
        setLimit(limit);
      }
      await waitUntil(() => pool.workers.length === 2, 'the successor', 20_000);
      assert.deepEqual(await pool.map(double, [1, 2, 3]), [2, 4, 6]);
      assert.equal((await pool.broadcast(who)).length, 2);
    });
  });
}

for (const { carrier, options } of QUICK_CARRIERS) {
  describe(`a task in a pool of ${carrier}`, () => {
    test('settles when something throws in the caller that the task brings along', LIMIT, async () => {
      await using pool = new Pool(2, options);
      for (const [place, run] of Object.entries(PLACES_HERE)) {
        const error = await failureAmongOthers(pool, () => run(pool));
        assert.ok(error instanceof SerializationError, `${place}: ${String(error)}`);
        assert.match(error.message, /"on purpose"/, place);
        assert.ok(error.cause instanceof RangeError, place);
      }
      assert.equal(pool.stats.restarts, 0);
    });

    test('gives back whatever is thrown, or what can be shown of it', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const remote = (error: unknown, message: RegExp) => {
        assert.ok(error instanceof RemoteError, String(error));
        assert.match(error.message, message);
      };
      const thrown: [what: () => unknown, is: (error: any) => void][] = [
        [() => () => 42, fn => assert.equal(fn(), 42)],
        [() => new (require('node:net') as typeof import('node:net')).Socket(), it => remote(it, /Socket/)],
        [() => Symbol('own'), it => remote(it, /Symbol\(own\)/)],
        [() => Symbol.for('ours'), it => assert.equal(it, Symbol.for('ours'))],
        [() => new Proxy(new Error('inside'), {}), it => remote(it, /inside/)],
        [
          () =>
            new Proxy(Object, {
              getPrototypeOf: () => {
                throw new Error('never');
              },
            }),
          it => assert.ok(it instanceof RemoteError),
        ],
        [
          () => {
            const { proxy, revoke } = Proxy.revocable({}, {});
            revoke();
            return proxy;
          },
          it => remote(it, /Proxy/),
        ],
        [() => Promise.resolve(1), it => remote(it, /Promise/)],
        [() => Object.create(null), it => assert.deepEqual(Object.getOwnPropertyNames(it), [])],
        [() => undefined, it => assert.equal(it, undefined)],
        [() => null, it => assert.equal(it, null)],
        [
          () => Object.freeze(new TypeError('frozen')),
          it => assert.deepEqual([it.name, it.message], ['TypeError', 'frozen']),
        ],
        [
          () => {
            const first = new Error('first');
            first.cause = new Error('second', { cause: first });
            return first;
          },
          it => assert.equal(it.cause.cause, it),
        ],
        [
          () =>
            Object.defineProperty(new RangeError('hidden'), 'message', {
              get: () => {
                throw new Error('never');
              },
            }),
          it => assert.ok(it instanceof RangeError),
        ],
        [
          () =>
            Object.defineProperty(new RangeError('told'), 'stack', {
              get: () => {
                throw new Error('never');
              },
            }),
          it => assert.deepEqual([it.name, it.message], ['RangeError', 'told']),
        ],
        [
          () => new Error('x'.repeat(3_000_000), { cause: new Uint8Array(1_000_000).fill(3) }),
          it => assert.deepEqual([it.message.length, it.cause[999_999]], [3_000_000, 3]),
        ],
        [() => withThen((resolve: (value: number) => void) => resolve(1)), it => assert.ok('then' in it)],
      ];
      const call = (make: () => unknown) => {
        throw make();
      };
      const reject = async (make: () => unknown) => Promise.reject(make());
      for (const [make, is] of thrown)
        for (const fn of [call, reject])
          await pool.run(fn, [make]).then(
            () => assert.fail('it returned'),
            error => is(error),
          );
      assert.equal(pool.stats.restarts, 0);
      assert.equal(await pool.run(double, [2]), 4);
    });

    test(
      'gives back results that look like promises, or says what cannot be sent of others',
      LIMIT,
      async () => {
        await using pool = new Pool(2, options);
        for (let round = 0; round < 2; round++) {
          const results: [fn: () => unknown, is: unknown][] = [
            [() => withThen(5), withThen(5)],
            [() => withThen(null), withThen(null)],
            [() => withThen((resolve: (value: unknown) => void) => resolve(withThen(5))), withThen(5)],
            [
              () =>
                Object.assign(
                  () => 1,
                  withThen((resolve: (value: number) => void) => resolve(6)),
                ),
              6,
            ],
            [async () => [withThen(5)], [withThen(5)]],
          ];
          for (const [fn, is] of results) {
            const own = () => fn(); // its first task and its second are begun in different ways
            assert.deepEqual(await Promise.all([pool.run(own), pool.run(own)]), [is, is], String(fn));
            assert.deepEqual(await pool.map(own, [1, 2]), [is, is], String(fn));
          }
        }
        for (const make of [
          () => Symbol('own'),
          () => new Proxy({}, {}),
          () => new (require('node:net') as typeof import('node:net')).Socket(),
        ])
          for (const result of [1, 2].map(() =>
            pool.run((it: typeof make) => ({ deep: [it()] }), [make]).catch(error => error),
          )) {
            const error = await result;
            assert.ok(error instanceof SerializationError, String(error));
            assert.match(error.path, /^result\.deep\[0\]/);
            assert.ok(error.message.startsWith(`Cannot send ${error.path} `), error.message);
          }
        assert.equal(pool.stats.restarts, 0);
      },
    );

    test('settles when the commons are full', LIMIT, async () => {
      await using pool = new Pool(2, options);
      const make = (bytes: number) => new Uint8Array(bytes);
      const fail = (bytes: number) => {
        throw Object.assign(new Error('large'), { data: new Uint8Array(bytes) });
      };
      const take = (bytes: Uint8Array) => bytes.length;
      await Promise.all([
        pool.run(make, [1]),
        pool.run(take, [make(1)]),
        pool.run(fail, [1]).catch(() => {}),
      ]);
      const limit = getLimit();
      setLimit(stats().used + 2 ** 20);
      try {
        for (const given of [
          () => pool.run(take, [make(4_000_000)]),
          () => pool.run(make, [4_000_000]),
          () => pool.run(fail, [4_000_000]),
          () => pool.map(make, [10, 4_000_000], { chunksize: 2 }),
          () => pool.run(make, [4_000_000], { retries: 3 }),
        ]) {
          const error = await failureAmongOthers(pool, given);
          assert.ok(error instanceof OutOfMemoryError, String(error));
          assert.match(error.message, /limit/);
        }
        setLimit(0);
        assert.ok(
          (await failureAmongOthers(pool, () => pool.run(make, [4_000_000]))) instanceof OutOfMemoryError,
        );
      } finally {
        setLimit(limit);
      }
      assert.equal(await pool.run(take, [make(4_000_000)]), 4_000_000);
      assert.equal(pool.stats.restarts, 0);
    });

    test('what a getter among its arguments does meanwhile harms neither', LIMIT, async () => {
      await using pool = new Pool(2, options);
      await pool.ready();
      // Shorter than a slot's room, and longer; at once, and from the backlog.
      for (const length of [1, 150, 5_000])
        for (const priority of [0, 7]) {
          const inner: Promise<unknown>[] = [];
          const tricky = {
            head: 'x'.repeat(length),
            get given() {
              inner.push(pool.run(later, ['inner'.repeat(length)]), pool.run(later, ['next'], { priority }));
              return 'outer';
            },
          };
          const outer = [pool.run(later, [tricky]), pool.run(later, [tricky], { priority })];
          for (const value of await Promise.all(outer))
            assert.deepEqual({ ...(value as object) }, { head: 'x'.repeat(length), given: 'outer' });
          assert.deepEqual(await Promise.all(inner), [
            'inner'.repeat(length),
            'next',
            'inner'.repeat(length),
            'next',
          ]);
        }
      const controller = new AbortController();
      const aborting = {
        get now() {
          controller.abort(new RangeError('on purpose'));
          return 1;
        },
      };
      await assert.rejects(
        pool.run(later, [aborting], { signal: controller.signal }),
        error => error === controller.signal.reason,
      );
      const ending = {
        get now() {
          void pool.terminate();
          return 'x'.repeat(5_000);
        },
      };
      await assert.rejects(pool.run(later, [ending]), { name: 'CancelledError' });
    });
  });
}

test('a task that fills the heap takes its worker with it, and nothing else', LIMIT, async () => {
  const program = spawn(
    process.execPath,
    [
      '--max-old-space-size=48',
      path.resolve(__dirname, '../../src/pool/fixtures/heap.cjs'),
      path.join(__dirname, 'pool.js'),
      ...QUICK_CARRIERS.map(({ options }) => JSON.stringify(options)),
    ],
    { stdio: ['ignore', 'pipe', 'ignore'] }, // Node tells at length
  );
  const [output] = await Promise.all([text(program.stdout), once(program, 'exit')]);
  assert.equal(program.exitCode, 0);
  const reports = output.trim().split('\n');
  assert.equal(reports.length, QUICK_CARRIERS.length);
  for (const report of reports) {
    const { name, message, exitCode, signalCode, cause, values } = JSON.parse(report);
    assert.equal(name, 'WorkerDiedError');
    assert.match(message, /^Cannot finish fill as PoolWorker-\d+ /);
    assert.ok(signalCode === 'SIGABRT' || exitCode === 1, report);
    assert.match(cause, /heap/);
    assert.deepEqual(
      values,
      values.map((_: number, i: number) => i),
    );
  }
});
