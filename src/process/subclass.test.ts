import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { Socket } from 'node:net';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { Queue } from '../channel/queue.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import type { Execution } from './execution.js';
import { ProcessClock, ThreadClock } from './fixtures/clocks.js';
import { type Carrier, executions } from './fixtures/executions.js';
import { carriers, warm } from './fixtures/methods.js';
import { Process } from './process.js';
import { Thread } from './thread.js';

leavesNothing({
  async warm() {
    await warm();
    await new Thread().start().join();
  },
});
leavesNoBlocks();

const limit = { timeout: 30_000 };
const modules = {
  process: path.join(__dirname, 'current-process.js'),
  thread: path.join(__dirname, 'current-thread.js'),
};

/** The class that a carrier's objects are of; what a Thread has in common with a Process is enough here. */
const baseOf = ({ create }: Carrier) => create().constructor as typeof Process;

/** Its result, once it has ended. */
async function resultOf(one: Execution): Promise<unknown> {
  const result = await one.start().result();
  await one.join();
  return result;
}

for (const carrier of executions) {
  const { kind, prefix } = carrier;
  const Base = baseOf(carrier);
  const Root = prefix === 'Thread' ? Thread : Process;

  describe(`a subclass whose run() is carried out by ${kind}`, () => {
    test(
      'has its own fields as they were at start(), getters, methods and what these capture',
      limit,
      async () => {
        const unit = 'ms';
        class Clock extends Base {
          static readonly names = ['clock'];
          readonly ticks: number[] = [];
          private seen = new Map<string, Date>();
          constructor(readonly every: number) {
            super({ name: 'the clock' });
          }
          get label(): string {
            return `${this.every} ${unit}`;
          }
          protected tick(): number {
            return this.ticks.push(this.every);
          }
          protected override async run(): Promise<unknown> {
            this.tick();
            return [
              this.label,
              this.ticks,
              this.seen,
              this.name,
              this.daemon,
              Clock.names,
              this.constructor.name,
            ];
          }
          remember(date: Date): this {
            this.seen.set('then', date);
            return this;
          }
        }
        const clock = new Clock(5).remember(new Date(7));
        clock.ticks.push(1);
        assert.deepEqual(await resultOf(clock), [
          '5 ms',
          [1, 5],
          new Map([['then', new Date(7)]]),
          'the clock',
          false,
          ['clock'],
          'Clock',
        ]);
        assert.deepEqual(clock.ticks, [1], 'what it does there is not seen here');
      },
    );

    test('is an object of its class there, alive, and the one that stands for what runs', limit, async () => {
      class Own extends Base {
        protected override async run(): Promise<unknown> {
          const { currentProcess } = require(this.modules.process) as typeof import('./current-process.js');
          const { currentThread } = require(this.modules.thread) as typeof import('./current-thread.js');
          return [
            [this instanceof Own, this instanceof Root, this.isAlive()],
            this === ((Root as unknown) === Thread ? currentThread() : currentProcess()),
            this.pid === undefined ? this.ident : this.pid === process.pid && this.pid,
          ];
        }
        constructor(readonly modules: { process: string; thread: string }) {
          super();
        }
      }
      const own = new Own(modules);
      const told = await resultOf(own);
      assert.deepEqual(told, [[true, true, true], true, own.ident]);
    });

    test('refuses from inside what is for who started it', limit, async () => {
      class Own extends Base {
        protected override async run(): Promise<unknown> {
          const acts = [
            () => this.start(),
            () => this.join(),
            () => this.joinSync(),
            () => this.result(),
            () => this.terminate(),
            () => this[Symbol.asyncDispose](),
            () => {
              this.daemon = true;
            },
          ];
          const names: string[] = [];
          for (const act of acts)
            try {
              await act();
              names.push('nothing');
            } catch (error) {
              names.push((error as Error).name);
            }
          this.ref().unref();
          return names;
        }
      }
      assert.deepEqual(await resultOf(new Own()), Array(7).fill('LifecycleError'));
    });

    test('may extend others, call super.run(), and have a target', limit, async () => {
      class First extends Base {
        first = 1;
        protected override run(): unknown {
          return ['first', this.first];
        }
      }
      class Second extends First {
        second = 2;
        protected override async run(): Promise<unknown> {
          return [await super.run(), this.second];
        }
      }
      class Third extends Second {}
      assert.deepEqual(await resultOf(new Third()), [['first', 1], 2]);
      class Around extends Base {
        protected override async run(): Promise<unknown> {
          return ['around', await super.run()];
        }
      }
      assert.deepEqual(
        await resultOf(new Around({ target: (a: number, b: number) => a + b, args: [1, 2] })),
        ['around', 3],
      );
      const module = path.join(__dirname, 'fixtures', 'functions.js');
      assert.deepEqual(await resultOf(new Around({ target: { module, export: 'add' }, args: [3, 4] })), [
        'around',
        7,
      ]);
      assert.deepEqual(await resultOf(new Around()), ['around', undefined]);
    });

    test('may refer to itself and hold what is shared', limit, async () => {
      using queue = new Queue<string>();
      class Knot extends Base {
        readonly helper: { readonly owner: Knot };
        constructor(readonly out: Queue<string>) {
          super();
          this.helper = { owner: this };
        }
        protected override async run(): Promise<unknown> {
          await this.out.put('said');
          return this.helper.owner === this;
        }
      }
      assert.equal(await resultOf(new Knot(queue)), true);
      assert.equal(await queue.get(), 'said');
    });

    test('may have fields in place of name and daemon, and a run() of one object', limit, async () => {
      const Named = class extends Base {};
      const one = new Named();
      const value = { writable: true, enumerable: true, configurable: true };
      Object.defineProperties(one, {
        name: { ...value, value: 'mine' },
        daemon: { ...value, value: true },
        run: {
          ...value,
          value(this: Process) {
            return [this.name, this.daemon];
          },
        },
      });
      assert.deepEqual(await resultOf(one), ['mine', true]);
      const wrong = new Named();
      Object.defineProperty(wrong, 'daemon', { ...value, value: 'yes' });
      assert.throws(() => wrong.start(), { name: 'TypeError', message: /"daemon"/ });
    });

    test('settles result() as it ends, however that is', limit, async () => {
      class Fails extends Base {
        protected override async run(): Promise<unknown> {
          throw new RangeError('out of time');
        }
      }
      const fails = new Fails({ stdio: 'ignore' }).start();
      await assert.rejects(fails.result(), { name: 'RangeError', message: 'out of time' });
      await fails.join();
      assert.equal(fails.exitCode, 1);
      class Exits extends Base {
        protected override run(): unknown {
          return process.exit(4);
        }
      }
      const exits = new Exits().start();
      const { pid = process.pid } = exits;
      await assert.rejects(exits.result(), { name: 'WorkerDiedError', exitCode: 4, signalCode: null, pid });
      await exits.join();
    });

    test('is not started where a part of it cannot cross, which is named', limit, async () => {
      const socket = new Socket();
      class Hidden extends Base {
        #count = 1;
        protected override run(): unknown {
          return this.#count;
        }
      }
      class Below extends Hidden {}
      class Plain extends Base {
        socket?: Socket;
        other?: unknown;
        tick?: () => unknown;
        protected override run(): unknown {
          return 1;
        }
        arrow(): this {
          this.tick = () => this.name;
          return this;
        }
      }
      class Capturing extends Base {
        protected override run(): unknown {
          return socket;
        }
      }
      for (const [one, told] of [
        [new Hidden(), { path: 'this.#count', message: /private member of class Hidden.*ordinary field/s }],
        [new Below(), { path: 'this.#count', message: /class Hidden/ }],
        [Object.assign(new Plain(), { socket }), { path: 'this.socket', message: /Socket.*host and port/ }],
        [
          Object.assign(new Plain(), { other: [new Plain()] }),
          { path: 'this.other[0]', message: /only the thread/ },
        ],
        [
          new Plain().arrow(),
          { path: 'this.tick, closure of anonymous function → this', message: /make it a method/ },
        ],
        [Object.setPrototypeOf(new Base(), { __proto__: Base.prototype, run: () => 1 }), { path: 'this' }],
        [new Capturing(), { path: 'class, closure of Capturing → socket' }],
      ] as const) {
        assert.throws(() => one.start(), { name: 'SerializationError', ...told });
        assert.equal(one.isAlive(), false);
      }
    });

    test('an object that runs elsewhere cannot be passed or captured', limit, () => {
      const other = new Base({ name: 'other' });
      const passing = new Base({ args: [{ deep: other }] });
      assert.throws(() => passing.start(), {
        name: 'SerializationError',
        path: 'args[0].deep',
        message: new RegExp(`${prefix} "other".*name.*result`),
      });
      const capturing = new Base({ target: () => other.name });
      assert.throws(() => capturing.start(), {
        name: 'SerializationError',
        path: /closure of target → other/,
      });
    });
  });
}

test('classes of other modules are imported, not copied', limit, async () => {
  for (const method of carriers.keys())
    assert.deepEqual(await resultOf(new ProcessClock(method, 3)), [3, true], method);
  assert.deepEqual(await resultOf(new ThreadClock(4)), [4, true]);
});

test(
  'a class without a run() of its own has its target called, and nothing else crosses',
  limit,
  async () => {
    class Labelled extends Process {
      readonly label = new Socket();
    }
    assert.equal(await resultOf(new Labelled({ target: () => 5 })), 5);
  },
);

for (const [program, library] of [
  ['subclass-program.cjs', 'index.js'],
  ['subclass-program.mjs', 'index.mjs'],
] as const)
  test(`classes of a program's entry module run elsewhere: ${program}`, limit, async () => {
    const file = path.join(__dirname, '..', '..', 'src', 'process', 'fixtures', program);
    const args = [file, path.join(__dirname, '..', library)];
    const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
    assert.equal(stderr, '');
    assert.deepEqual(JSON.parse(stdout), [
      ['5 ms', true, true],
      ['6 ms', true, true],
    ]);
  });
