import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { fixture } from './fixtures/cli.js';

leavesNothing();

const limit = { timeout: 60_000 };
const main = path.join(__dirname, 'main.js');
const program = fixture('forking.cjs');

/** Runs `manyhands run` with this text on stdin, and this very file as descriptor 3. */
async function run(...args: string[]) {
  const fd = openSync(__filename, 'r');
  const child = spawn(process.execPath, [main, 'run', ...args], { stdio: ['pipe', 'pipe', 'pipe', fd] });
  closeSync(fd);
  child.stdin?.end('input');
  const [stdout, stderr, [code, signal]] = await Promise.all([
    text(child.stdout as Readable),
    text(child.stderr as Readable),
    once(child, 'close'),
  ]);
  return { pid: child.pid, stdout, stderr, code, signal };
}

test(
  'manyhands run: the program is what node would run, in the same process, and may fork',
  limit,
  async () => {
    const { pid, stdout, stderr, code, signal } = await run(program, 'code', '--port', '-x', '--', 'y');
    const file = readFileSync(__filename, 'utf8');
    assert.equal(stderr, '');
    assert.deepEqual(JSON.parse(stdout), [pid, true, true, ['--port', '-x', '--', 'y'], 'input', file]);
    assert.deepEqual([code, signal], [5, null]);
  },
);

test('manyhands run: a signal that ends the program ends the command', limit, async () => {
  const { code, signal } = await run(program, 'signal');
  assert.deepEqual([code, signal], [null, 'SIGTERM']);
});

test(
  'manyhands run: without a file, wrong usage; with one that is not there, what Node says',
  limit,
  async () => {
    const [nothing, missing] = [await run(), await run(`${program}.not`)];
    assert.equal(nothing.code, 2);
    assert.match(nothing.stderr, /missing required argument 'FILE'/);
    assert.equal(missing.code, 1);
    assert.match(missing.stderr, /Cannot find module .*forking.cjs.not/);
  },
);
