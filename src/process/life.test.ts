import assert from 'node:assert/strict';
import path from 'node:path';
import { describe, test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { alive, descendants, waitGone } from '../testing/processes.js';
import { carriers, warm } from './fixtures/methods.js';
import { startProgram } from './fixtures/start-program.js';

/* What becomes of a program's processes when it ends, and what keeps it from ending. */
leavesNothing({ warm });

const limit = { timeout: 30_000 };
const program = path.join(__dirname, 'fixtures', 'life-program.js');

for (const method of [...carriers.keys(), 'fork']) {
  const flags = method === 'fork' ? ['--single-threaded'] : [];
  describe(`the end of a program with processes by ${method}`, () => {
    test('comes after that of its ordinary children, whose output is its own', limit, async () => {
      const { next, errors, ended } = startProgram([...flags, program, 'ordinary', method]);
      process.kill(await next(), 'SIGUSR2');
      assert.equal(await next(), 'child');
      assert.deepEqual(await next(), ['parent', 0]);
      assert.deepEqual(await ended, [0, null]);
      assert.equal(await errors, 'to stderr\n');
    });

    test('does not wait for daemons, and is theirs too', limit, async () => {
      const { next, ended } = startProgram([...flags, program, 'daemon', method]);
      const pid = await next();
      assert.deepEqual(await ended, [0, null]);
      await waitGone(pid);
    });

    test('waits for a daemon after ref()', limit, async () => {
      const { next, ended } = startProgram([...flags, program, 'counted', method]);
      process.kill(await next(), 'SIGUSR2');
      assert.deepEqual(await next(), ['parent', 0]);
      assert.deepEqual(await ended, [0, null]);
    });

    test('does not wait for a child after unref(), which lives on', limit, async () => {
      const { next, root } = startProgram([...flags, program, 'unreferenced', method]);
      const pid = await next();
      // Its 'close' would wait for the child as well, which has the same stdout.
      assert.deepEqual(await new Promise(resolve => root.on('exit', (...how) => resolve(how))), [0, null]);
      assert.ok(alive(pid));
      process.kill(pid, 'SIGKILL');
      await waitGone(pid);
    });

    test('by SIGKILL ends its daemons at once, and leaves the others alone', limit, async () => {
      const { next, root, pid } = startProgram([...flags, program, 'both', method]);
      const [daemon, other] = await next();
      const family = descendants(pid).map(one => one.pid); // a fork server among them
      root.kill('SIGKILL');
      await waitGone(pid);
      await waitGone(daemon, 1000);
      assert.ok(alive(other));
      process.kill(other, 'SIGKILL');
      for (const one of family) await waitGone(one);
    });
  });
}

test('300 processes live at once', { timeout: 60_000 }, async () => {
  const { next, ended } = startProgram([program, 'crowd', 'forkserver']);
  assert.equal(await next(), 300);
  assert.equal(await next(), 300);
  assert.equal(await next(), true);
  assert.deepEqual(await ended, [0, null]);
});

test('a program that only a compiler can run gives its closures to children and threads', limit, async () => {
  const typed = path.join(__dirname, '..', '..', 'src', 'process', 'fixtures', 'typed-program.mts');
  const { next, errors, ended } = startProgram(['--import', 'tsx', typed]);
  assert.deepEqual([await next(), await next()], [2000, true]);
  assert.equal(await errors, '');
  assert.deepEqual(await ended, [0, null]);
});
