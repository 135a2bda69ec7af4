import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { WorkerDiedError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { carriers, warm } from './fixtures/methods.js';
import { startProgram } from './fixtures/start-program.js';

leavesNothing({ warm });
leavesNoBlocks();

const limit = { timeout: 30_000 };
const MIB = 2 ** 20;

const fillHeap = () => {
  const filled: object[] = [];
  for (;;) filled.push(new Array(100).fill({}));
};
const fillMap = () => {
  const filled = new Map<number, number>();
  for (let i = 0; ; i++) filled.set(i, i);
};
const loop = () => {
  for (;;);
};
/** A function of WebAssembly that never returns. */
const loopInWasm = () => {
  const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 4, 1, 96, 0, 0, 3, 2, 1, 0, 7, 5, 1, 1, 102, 0, 0]; // exports "f"
  const code = [10, 9, 1, 7, 0, 3, 64, 12, 0, 11, 11]; // loop, br 0
  const { WebAssembly } = globalThis as any; // the types of Node 20 have none
  new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([...bytes, ...code]))).exports.f();
};
const loopInThreads = () => {
  const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
  for (let i = 0; i < 2; i++) new Worker('for (;;);', { eval: true });
  return new Promise<never>(() => {});
};

for (const [method, Process] of carriers) {
  describe(`a process by ${method} with limits`, () => {
    /** What result() rejects with, once the process has ended. */
    const death = async (target: () => unknown, limits: { heap?: number; cpu?: number }) => {
      const child = new Process({ target, limits, stdio: 'ignore' }).start();
      const error = await child.result().then(
        value => assert.fail(`it returned ${value}`),
        error => error,
      );
      assert.ok(error instanceof WorkerDiedError, String(error));
      await child.join();
      assert.deepEqual(
        [error.pid, error.exitCode, error.signalCode],
        [child.pid, child.exitCode, child.signalCode],
      );
      return error;
    };

    test('aborts when its heap grows beyond its limit', limit, async () => {
      for (const fill of [fillHeap, fillMap]) {
        const { signalCode, message } = await death(fill, { heap: 12 * MIB });
        assert.equal(signalCode, 'SIGABRT');
        assert.match(message, new RegExp(`its heap grew beyond ${12 * MIB} bytes`));
      }
    });

    test('has the heap that it may have', limit, async () => {
      const target = () => {
        const filled: number[][] = [];
        for (let i = 0; i < 20; i++) filled.push(new Array(2 ** 17).fill(i));
        return filled.length;
      };
      const child = new Process({ target, limits: { heap: 48 * MIB } }).start();
      assert.equal(await child.result(), 20);
      assert.equal(await child.join(), true);
      assert.equal(child.exitCode, 0);
    });

    test('ends by SIGXCPU when its CPU time is used up, however it uses it', limit, async () => {
      for (const use of [loop, loopInWasm, loopInThreads]) {
        const { signalCode, message } = await death(use, { cpu: 40 });
        assert.equal(signalCode, 'SIGXCPU', use.name);
        assert.match(message, /it used more than 40 ms of CPU time/);
      }
    });

    test('may handle SIGXCPU, and end in order', limit, async () => {
      const { exitCode, message } = await death(
        () => {
          process.on('SIGXCPU', () => process.exit(7));
          setInterval(() => {
            for (const end = performance.now() + 5; performance.now() < end; );
          });
          return new Promise(() => {});
        },
        { cpu: 40 },
      );
      assert.equal(exitCode, 7);
      assert.match(message, /it used more than 40 ms of CPU time/);
    });

    test('sleeps as long as it likes', limit, async () => {
      const target = () => new Promise<string>(resolve => setTimeout(resolve, 100, 'rested'));
      const child = new Process({ target, limits: { cpu: 90 } }).start();
      assert.equal(await child.result(), 'rested');
      await child.join();
      assert.equal(child.exitCode, 0);
    });
  });
}

test('a process that goes on after SIGXCPU is killed a second of CPU time later', limit, async () => {
  const [Process] = carriers.values();
  const child = new Process({
    target: () => {
      process.on('SIGXCPU', () => {});
      for (;;);
    },
    limits: { cpu: 40 },
  }).start();
  await assert.rejects(child.result(), { signalCode: 'SIGKILL', message: /more than 40 ms of CPU time/ });
  await child.join();
});

test('a process may have a larger heap than Node gives by itself', limit, async () => {
  const program = path.join(__dirname, 'fixtures', 'limits-program.js');
  const { next, ended } = startProgram(['--max-old-space-size=48', program]);
  for (const method of carriers.keys()) assert.equal(await next(), 80, method);
  assert.deepEqual(await ended, [0, null]);
});

test('limits that are none are refused', () => {
  const [Process] = carriers.values();
  const wrong = (limits: unknown) => () => new Process({ limits: limits as never });
  for (const limits of [5, null, { heap: '1' }, { cpu: null }, { stack: 2 ** 20 }])
    assert.throws(wrong(limits), TypeError, JSON.stringify(limits));
  for (const limits of [{ heap: MIB }, { heap: Number.NaN }, { cpu: 0 }, { cpu: Number.POSITIVE_INFINITY }])
    assert.throws(wrong(limits), RangeError, JSON.stringify(limits));
  assert.doesNotThrow(wrong({ heap: undefined, cpu: 0.5e3 }));
});
