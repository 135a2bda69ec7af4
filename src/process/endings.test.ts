import assert from 'node:assert/strict';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { carriers, warm } from './fixtures/methods.js';

/* How processes end: a row each. What Execution promises of all is in execution.test.ts, what is printed in stdio.test.ts. */
leavesNothing({ warm });
leavesNoBlocks();

const limit = { timeout: 60_000 };

interface Row {
  readonly target: (...args: any[]) => unknown;
  readonly args?: readonly unknown[];
  /** Its exit code, or the signal that ended it. */
  readonly ends: number | NodeJS.Signals;
  /** What result() gives; undefined: a WorkerDiedError that tells of that end. */
  readonly gives?: { readonly value: unknown } | { readonly error: object | ((error: unknown) => boolean) };
  /** All that it prints on stdout; default: nothing. */
  readonly prints?: string;
  /** What is on stderr, NAME being its name; default: nothing. */
  readonly complains?: RegExp;
}

const exit = (code: number | string) => process.exit(code);
const signal = (signal: NodeJS.Signals) => {
  process.on('exit', () => console.log('never'));
  process.kill(process.pid, signal);
  return new Promise(() => setInterval(() => {}, 1000));
};

const rows: Record<string, Row> = {
  'it returns': { target: () => 'value', ends: 0, gives: { value: 'value' } },
  'its promise is fulfilled': { target: async () => 'value', ends: 0, gives: { value: 'value' } },
  'there is nothing left to do before its promise is settled': {
    target: () => new Promise(() => {}),
    ends: 0,
  },
  'it sets process.exitCode': {
    target: () => {
      process.exitCode = 200;
      return 'value';
    },
    ends: 200,
    gives: { value: 'value' },
  },
  'it calls process.exit()': {
    target: () => {
      process.exitCode = 4;
      process.exit();
    },
    ends: 4,
  },
  'it calls process.exit(0)': { target: exit, args: [0], ends: 0 },
  'it calls process.exit(255)': { target: exit, args: [255], ends: 255 },
  'it calls process.exit(256)': { target: exit, args: [256], ends: 0 },
  'it calls process.exit(-1)': { target: exit, args: [-1], ends: 255 },
  "it calls process.exit('3')": { target: exit, args: ['3'], ends: 3 },
  'it calls process.exit() later': {
    target: async () => {
      await new Promise(resolve => setImmediate(resolve));
      process.exit(8);
    },
    ends: 8,
  },
  'it throws': {
    target: () => {
      process.exitCode = 5;
      throw new TypeError('wrong', { cause: new Error('deeper') });
    },
    ends: 1,
    gives: { error: { name: 'TypeError', message: 'wrong' } },
    complains: /^NAME: TypeError: wrong\n {4}at [\s\S]*endings\.test\.[jt]s:\d+[\s\S]*cause\]: Error: deeper/,
  },
  'its promise is rejected': {
    target: async () => {
      await null;
      throw new RangeError('late');
    },
    ends: 1,
    gives: { error: { name: 'RangeError', message: 'late' } },
    complains: /^NAME: RangeError: late\n {4}at [\s\S]*endings\.test\.[jt]s:\d+/,
  },
  'it throws what is no error': {
    target: () => {
      throw 'a word';
    },
    ends: 1,
    gives: { error: error => error === 'a word' },
    complains: /^NAME: 'a word'\n$/,
  },
  'its stack overflows': {
    target: () => {
      const dive = (): number => dive() + 1;
      return dive();
    },
    ends: 1,
    gives: { error: { name: 'RangeError', message: /call stack/ } },
    complains: /^NAME: RangeError: Maximum call stack/,
  },
  'its result cannot cross': {
    target: () => ({ a: [new WeakMap()] }),
    ends: 1,
    gives: { error: { name: 'SerializationError', path: 'result.a[0]' } },
    complains: /^NAME: SerializationError: Cannot send result\.a\[0\]/,
  },
  'nobody handles a rejection': {
    target: () => {
      void Promise.reject(new Error('unheard'));
      return new Promise(() => setInterval(() => {}, 1000));
    },
    ends: 1,
    gives: { error: { message: 'unheard' } },
    complains: /^NAME: Error: unheard\n/,
  },
  'nobody catches an error': {
    target: () => {
      setTimeout(() => {
        throw new Error('uncaught');
      }, 1);
      return new Promise(() => setInterval(() => {}, 1000));
    },
    ends: 1,
    gives: { error: { message: 'uncaught' } },
    complains: /^NAME: Error: uncaught\n {4}at [\s\S]*endings\.test\.[jt]s:\d+/,
  },
  'it fails after it has given its result': {
    target: () => {
      setTimeout(() => {
        throw new Error('too late');
      }, 1);
      return 'value';
    },
    ends: 1,
    gives: { value: 'value' },
    complains: /^NAME: Error: too late\n/,
  },
  'it is killed after it has given its result': {
    target: () => {
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1);
      return 'value';
    },
    ends: 'SIGKILL',
    gives: { value: 'value' },
  },
  'its handler of errors fails': {
    target: () => {
      process.on('uncaughtException', () => {
        throw new Error('again');
      });
      setTimeout(() => {
        throw new Error('first');
      }, 1);
      return new Promise(() => {});
    },
    ends: 7, // as Node does
    complains: /Error: again/,
  },
  'it has taken away all handlers of errors': {
    target: () => {
      process.removeAllListeners('uncaughtException');
      setTimeout(() => {
        throw new Error('bare');
      }, 1);
      return new Promise(() => {});
    },
    ends: 1,
    complains: /Error: bare/,
  },
  'it ends by itself: handlers run in order, once': {
    target: () => {
      for (const name of ['first', 'second']) process.on('exit', code => console.log(name, code));
      process.once('beforeExit', () => void setImmediate(() => console.log('more')));
      process.on('beforeExit', code => console.log('before', code));
    },
    ends: 0,
    gives: { value: undefined },
    prints: 'before 0\nmore\nbefore 0\nfirst 0\nsecond 0\n',
  },
  "it throws: 'exit' handlers run, and may change the code": {
    target: () => {
      process.on('beforeExit', () => console.log('never'));
      process.on('exit', code => {
        console.log('first', code);
        process.exitCode = 9;
      });
      process.on('exit', () => console.log('second', process.exitCode));
      throw new Error('thrown');
    },
    ends: 9,
    gives: { error: { message: 'thrown' } },
    prints: 'first 1\nsecond 9\n',
    complains: /^NAME: Error: thrown/,
  },
  "an 'exit' handler calls process.exit()": {
    target: () => {
      process.on('exit', () => process.exit(12));
      process.on('exit', () => console.log('never'));
    },
    ends: 12,
    gives: { value: undefined },
  },
  "an 'exit' handler throws": {
    target: () => {
      process.on('exit', () => {
        throw new Error('at the end');
      });
      return 'value';
    },
    ends: 1,
    gives: { value: 'value' },
    complains: /^NAME: Error: at the end/,
  },
  'it ends at once: no handler runs': {
    target: () => {
      process.on('exit', () => console.log('never'));
      (process as unknown as { reallyExit(code: number): never }).reallyExit(5);
    },
    ends: 5,
  },
  'it aborts': {
    target: () => {
      process.on('exit', () => console.log('never'));
      process.abort();
    },
    ends: 'SIGABRT',
    complains: /^/,
  },
  ...Object.fromEntries(
    (['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM', 'SIGSEGV', 'SIGALRM', 'SIGXCPU'] as const).map(name => [
      `it gets ${name}`,
      { target: signal, args: [name], ends: name },
    ]),
  ),
};

for (const [method, Process] of carriers) {
  describe(`a process by ${method}`, () => {
    const check = async ({ target, args = [], ends, gives, prints = '', complains = /^$/ }: Row) => {
      const child = new Process({ target, args: [...args], stdio: 'pipe' }).start();
      const settled = child.result().then(
        value => ({ value }),
        error => ({ error }),
      );
      await child.join();
      const out = await text(child.stdout as Readable);
      const err = await text(child.stderr as Readable);
      const [exitCode, signalCode] = typeof ends === 'number' ? [ends, null] : [null, ends];
      assert.deepEqual([child.exitCode, child.signalCode], [exitCode, signalCode], err);
      assert.equal(out, prints);
      assert.match(err.replaceAll(child.name, 'NAME'), complains);
      const outcome = await settled;
      if (gives && 'value' in gives) assert.deepEqual(outcome, gives);
      else {
        assert.ok('error' in outcome, 'it gave a result');
        const died = { name: 'WorkerDiedError', pid: child.pid, exitCode, signalCode };
        await assert.rejects(Promise.reject(outcome.error), gives?.error ?? died);
      }
    };

    for (const [when, row] of Object.entries(rows))
      test(`ends with ${row.ends} when ${when}`, limit, () => check(row));
  });
}

test('every exit code is told', limit, async () => {
  const Process = carriers.get('forkserver');
  if (!Process) return;
  for (let code = 0; code < 256; code++) {
    const child = new Process({ target: exit, args: [code] }).start();
    await child.join();
    assert.equal(child.exitCode, code);
    await assert.rejects(child.result(), {
      exitCode: code,
      message: new RegExp(`exited with code ${code} `),
    });
  }
});

test('options for Node in the environment count by spawn, and wrong ones are told by it', limit, async () => {
  const Process = carriers.get('spawn');
  if (!Process) return;
  const env = { ...process.env, NODE_OPTIONS: '--no-deprecation' };
  const options = () => [process.env.NODE_OPTIONS, process.noDeprecation];
  const child = new Process({ target: options, env }).start();
  assert.deepEqual(await child.result(), ['--no-deprecation', true]);
  await child.join();
  const wrong = new Process({
    target: options,
    env: { ...env, NODE_OPTIONS: '--no-such-option' },
    stdio: 'pipe',
  }).start();
  await assert.rejects(wrong.result(), { exitCode: 9 });
  await wrong.join();
  assert.match(await text(wrong.stderr as Readable), /NODE_OPTIONS/);
});
