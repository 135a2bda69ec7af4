import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { promisify } from 'node:util';
import { carriers } from '../process/fixtures/methods.js';
import { Process } from '../process/process.js';
import { getAllStartMethods, type StartMethod } from '../process/start-method.js';
import { leavesNothing } from '../testing/leaks.js';
import { getContext } from './context.js';
import { warmUp } from './fixtures/carriers.js';
import { Pool } from './pool.js';

leavesNothing({ warm: warmUp });

const limit = { timeout: 30_000 };
const face = path.join(__dirname, '..', 'index.js');

/** What a fresh Node prints that runs `program`, where `mp` is the library. */
async function fresh(program: string): Promise<unknown> {
  const source = `const mp = require(${JSON.stringify(face)}); (async () => { ${program} })()`;
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', source]);
  return JSON.parse(stdout);
}

/** By which start method this process came to life: the kernel knows its true parent. */
const bornBy = () => {
  const { readFileSync } = require('node:fs') as typeof import('node:fs');
  const parent = /^PPid:\s*(\d+)/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1];
  return readFileSync(`/proc/${parent}/comm`, 'utf8') === 'mh-forkserver\n' ? 'forkserver' : 'spawn';
};

test('each start method has one context; another is refused, and those there are are named', () => {
  for (const method of getAllStartMethods()) {
    const context = getContext(method);
    assert.equal(context, getContext(method));
    assert.equal(context.method, method);
    assert.equal(context.Process.name, 'Process');
    assert.equal(context.Pool.name, 'Pool');
    assert.ok(new context.Process() instanceof Process);
  }
  for (const wrong of ['exec', 'Spawn', '', null, 5, Symbol('spawn')])
    assert.throws(() => getContext(wrong as StartMethod), {
      name: 'RangeError',
      message: /forkserver, spawn/,
    });
});

test('workers of a pool by fork are their parent once more, and serve', limit, async () => {
  const source = `
    const { getContext, fork, os } = require(${JSON.stringify(face)});
    const here = new Map([[1, 'one'], [2, 'two']]);
    const pool = new (getContext('fork').Pool)(2);
    const inFork = async () => {
      const pid = fork();
      if (pid === 0) return 'of nobody';
      return os.WEXITSTATUS((await os.waitpid(pid))[1]);
    };
    (async () => {
      const results = [await pool.map(n => here.get(n), [1, 2]), await pool.run(inFork), await pool.run(() => 5)];
      pool.close();
      await pool.join();
      console.log(JSON.stringify(results));
    })();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--single-threaded', '-e', source]);
  assert.deepEqual(JSON.parse(stdout), [['one', 'two'], 0, 5]);
});

for (const method of carriers.keys()) {
  describe(`the context of ${method}`, () => {
    const context = getContext(method);

    test('starts processes by that method, those of classes that extend its own too', limit, async () => {
      class Named extends context.Process {
        override name = 'of a class';
      }
      for (const Class of [context.Process, Named]) {
        const child = new Class({ target: bornBy }).start();
        assert.equal(await child.result(), method);
        await child.join();
      }
      assert.equal(new Named().name, 'of a class');
    });

    test("starts pools' workers by that method, by its class and as an option", limit, async () => {
      for (const pool of [
        new context.Pool(1),
        new context.Pool({ size: 1, context: getContext() }),
        new Pool(1, { context }),
        new Pool({ size: 1, context }),
      ]) {
        assert.ok(pool instanceof Pool);
        assert.equal(pool.size, 1);
        assert.equal(await pool.run(bornBy), method);
        await pool.terminate();
      }
    });

    test('crosses to children with what it makes', limit, async () => {
      const child = new context.Process<[], unknown>({
        target: async () => {
          const grandchild = new context.Process({ target: bornBy }).start();
          await using pool = new context.Pool(1);
          return [await grandchild.result(), await pool.run(bornBy), context.Process.name];
        },
      }).start();
      assert.deepEqual(await child.result(), [method, method, 'Process']);
      await child.join();
    });
  });
}

test('the default context is that of the start method, which it settles', limit, async () => {
  const told = await fresh(`
    const errors = [];
    const attempt = act => { try { act(); } catch (error) { errors.push(error.code); } };
    mp.setStartMethod('spawn');
    attempt(() => mp.setStartMethod('spawn'));
    attempt(() => mp.setStartMethod('forkserver'));
    console.log(JSON.stringify([mp.getContext().method, mp.getContext() === mp.getContext('spawn'), errors]));
  `);
  assert.deepEqual(told, ['spawn', true, ['ERR_LIFECYCLE', 'ERR_LIFECYCLE']]);
  const settled = await fresh(`
    mp.getContext('spawn'); // asks for one, and settles nothing
    const [first, second] = [mp.getAllStartMethods()[0], mp.getContext().method];
    let code;
    try { mp.setStartMethod('spawn'); } catch (error) { code = error.code; }
    console.log(JSON.stringify([first === second, code]));
  `);
  assert.deepEqual(settled, [true, 'ERR_LIFECYCLE']);
});

test("a child's default start method is its creator's, by whichever it was started", limit, async () => {
  const told = await fresh(`
    mp.setStartMethod('spawn');
    const ask = () => {
      mp.setStartMethod('spawn'); // as a module would that both load
      let code;
      try { mp.setStartMethod('forkserver'); } catch (error) { code = error.code; }
      return [mp.getStartMethod(), mp.getContext().method, code];
    };
    const answers = [];
    for (const method of ['forkserver', 'spawn'])
      answers.push(await new (mp.getContext(method).Process)({ target: ask }).start().result());
    answers.push(await new mp.Thread({ target: ask }).start().result());
    console.log(JSON.stringify(answers));
  `);
  assert.deepEqual(told, Array(3).fill(['spawn', 'spawn', 'ERR_LIFECYCLE']));
});
