import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { ForkUnsafeError } from '../errors/errors.js';
import { leavesNothing } from '../testing/leaks.js';
import { descendants, waitGone } from '../testing/processes.js';
import { startProgram } from './fixtures/start-program.js';
import { Process } from './process.js';
import type { StartMethod } from './start-method.js';

leavesNothing();

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'fixtures', 'fork-program.js');

/** What a scenario of the program says until it ends, which must be in order. */
async function sayings(scenario: string): Promise<unknown[]> {
  const { next, errors, ended } = startProgram(['--single-threaded', program, scenario]);
  const said: unknown[] = [];
  for (let line = await next(); line !== null; line = await next()) said.push(line);
  assert.equal(await errors, '');
  assert.deepEqual(await ended, [0, null]);
  return said;
}

for (const suite of ['execution', 'process'])
  test(`the suite "${suite}" holds for processes by fork`, { timeout: 120_000 }, () => {
    const env = { ...process.env };
    delete env.NODE_TEST_CONTEXT; // or it would report to this test's own runner
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--single-threaded', path.join(__dirname, `${suite}.test.js`)],
      { env, encoding: 'utf8' },
    );
    assert.equal(status, 0, `${stdout}${stderr}`);
  });

test('a process by fork starts from any place, and never comes back to it', limit, async () => {
  const told = (await sayings('places')) as [string, unknown, number][];
  assert.ok(told.length > 20);
  for (const [place, result, exitCode] of told)
    assert.deepEqual([place, result, exitCode], [place, { isChild: true, left: [] }, 0]);
});

test('it starts when its parent has nothing else to do', limit, async () => {
  assert.deepEqual(await sayings('last'), [{ isChild: true, left: [] }]);
});

test('it starts from the top level of a module', limit, async () => {
  const script = `
    import { Process, setStartMethod } from ${JSON.stringify(path.join(__dirname, '..', 'index.mjs'))};
    setStartMethod('fork');
    const here = { n: 41 };
    const child = new Process({ target: async x => (await null, here.n + x), args: [1] }).start();
    console.log(await child.result());
    await child.join();
    console.log(child.exitCode);`;
  const { next, errors, ended } = startProgram([
    '--single-threaded',
    '--input-type=module',
    '--eval',
    script,
  ]);
  assert.deepEqual([await next(), await next(), await next()], [42, 0, null]);
  assert.equal(await errors, '');
  assert.deepEqual(await ended, [0, null]);
});

test('it forks and starts processes itself, and has what its parent shares', limit, async () => {
  assert.deepEqual(await sayings('family'), [
    'grandchild of a fork',
    [7, 'Process-1:1', 'grandchild'],
    0,
    'shared',
  ]);
});

test("of its parent's sockets it has those that are given to it", limit, async () => {
  assert.deepEqual(await sayings('sockets'), [['child: hello', 'parent: hello'], 0]);
});

test('its output goes where it is asked to go, and its input is empty', limit, async () => {
  assert.deepEqual(await sayings('stdio'), ['made before', '', [...'outerr'].sort().join('')]);
});

test('100 in a row leave nothing', limit, async () => {
  assert.deepEqual(await sayings('many'), [[100, 0, 0, 0]]);
});

test('killed at any moment, it ends', limit, async () => {
  assert.deepEqual(await sayings('killed'), [[40, 0]]);
});

test('when its parent is killed at any moment, daemons end', limit, async () => {
  for (let i = 0; i < 3; i++) {
    const { next, root, pid } = startProgram(['--single-threaded', program, 'storm']);
    for (let k = 0; k <= i; k++) await next();
    const family = descendants(pid).map(one => one.pid);
    root.kill('SIGKILL');
    for (const one of [pid, ...family]) await waitGone(one);
  }
});

test('a program that was not started for it is told how', limit, () => {
  class Forked extends Process {
    protected override get startMethod(): StartMethod {
      return 'fork';
    }
  }
  assert.throws(
    () => new Forked({ target: () => {} }).start(),
    (error: unknown) => error instanceof ForkUnsafeError && /node --single-threaded/.test(error.message),
  );
});
