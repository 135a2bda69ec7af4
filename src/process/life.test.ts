import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { alive, waitGone } from '../testing/processes.js';
import { carriers, warm } from './fixtures/methods.js';

/* What becomes of a program's processes when it ends, and what keeps it from ending. */
leavesNothing({ warm });

const limit = { timeout: 30_000 };
const program = path.join(__dirname, 'fixtures', 'life-program.js');

function start(...args: string[]) {
  const root = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const lines = createInterface({ input: root.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? 'null');
  const errors = text(root.stderr);
  const ended = new Promise<unknown[]>(resolve => root.on('close', (...how) => resolve(how)));
  return { root, pid: root.pid as number, next, errors, ended };
}

for (const method of carriers.keys()) {
  describe(`the end of a program with processes by ${method}`, () => {
    test('comes after that of its ordinary children, whose output is its own', limit, async () => {
      const { next, errors, ended } = start(program, 'ordinary', method);
      assert.equal(await next(), 'child');
      assert.deepEqual(await next(), ['parent', 0]);
      assert.deepEqual(await ended, [0, null]);
      assert.equal(await errors, 'to stderr\n');
    });

    test('does not wait for daemons, and is theirs too', limit, async () => {
      const { next, ended } = start(program, 'daemon', method);
      const pid = await next();
      assert.deepEqual(await ended, [0, null]);
      await waitGone(pid);
    });

    test('waits for a daemon after ref()', limit, async () => {
      const { next, ended } = start(program, 'counted', method);
      assert.equal(await next(), 0);
      assert.deepEqual(await ended, [0, null]);
    });

    test('does not wait for a child after unref(), which lives on', limit, async () => {
      const { next, root } = start(program, 'unreferenced', method);
      const pid = await next();
      // Its 'close' would wait for the child as well, which has the same stdout.
      assert.deepEqual(await new Promise(resolve => root.on('exit', (...how) => resolve(how))), [0, null]);
      assert.ok(alive(pid));
      process.kill(pid, 'SIGKILL');
      await waitGone(pid);
    });

    test('by SIGKILL ends its daemons at once, and leaves the others alone', limit, async () => {
      const { next, root, pid } = start(program, 'both', method);
      const [daemon, other] = await next();
      root.kill('SIGKILL');
      await waitGone(pid);
      await waitGone(daemon, 1000);
      assert.ok(alive(other));
      process.kill(other, 'SIGKILL');
      await waitGone(other);
    });
  });
}

test('500 processes live at once', { timeout: 60_000 }, async () => {
  const { next, ended } = start(program, 'crowd', 'forkserver');
  assert.equal(await next(), 500);
  assert.equal(await next(), 500);
  assert.equal(await next(), true);
  assert.deepEqual(await ended, [0, null]);
});

test('a program that only a compiler can run gives its closures to children', limit, async () => {
  const typed = path.join(__dirname, '..', '..', 'src', 'process', 'fixtures', 'typed-program.mts');
  const { next, errors, ended } = start('--import', 'tsx', typed);
  assert.equal(await next(), 2000);
  assert.equal(await errors, '');
  assert.deepEqual(await ended, [0, null]);
});
