import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { leavesNothing } from '../testing/leaks.js';

leavesNothing();

const fixtures = path.join(__dirname, '..', '..', 'src', 'process', 'fixtures');
const library = path.join(__dirname, '..', 'index.js');

interface Drawn {
  pid: number;
  loadedBy: number;
  drawn: [number, string, number];
}

test('children are born with preloaded modules, and with randomness of their own all the same', {
  timeout: 60_000,
}, async () => {
  const count = 200; // all alive at once
  const program = path.join(fixtures, 'preload-program.cjs');
  const args = [program, library, path.join(fixtures, 'preloaded.cjs'), String(count)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
  const [drawn, { refused }] = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line)) as [Drawn[], { refused: string }];
  assert.equal(stderr, '');
  assert.equal(drawn.length, count);
  assert.equal(
    new Set(drawn.map(({ loadedBy }) => loadedBy)).size,
    1,
    'one process loaded the module for all',
  );
  assert.ok(drawn.every(({ pid, loadedBy }) => pid !== loadedBy));
  for (const source of [0, 1, 2] as const)
    assert.equal(
      new Set(drawn.map(child => child.drawn[source])).size,
      count,
      `source ${source} repeats itself`,
    );
  assert.equal(refused, 'ERR_LIFECYCLE');
});
