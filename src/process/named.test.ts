import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { leavesNothing } from '../testing/leaks.js';

leavesNothing();

const fixtures = path.join(__dirname, '..', '..', 'src', 'process', 'fixtures');

test('children have named memory that was opened before the fork, with a place of their own in it', {
  timeout: 30_000,
}, async () => {
  const args = [
    path.join(fixtures, 'named-program.cjs'),
    path.join(__dirname, '..', 'index.js'),
    path.join(fixtures, 'named-preloaded.cjs'),
  ];
  const env = {
    ...process.env,
    NAMED_MODULE: path.join(__dirname, '..', 'sync', 'named.js'),
    NAMED_NAME: `fork ${process.pid}`,
  };
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { env });
  assert.equal(stderr, '');
  const [first, second, waiting] = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  assert.equal(first.loadedBy, second.loadedBy);
  assert.equal(new Set([first.loadedBy, first.own, second.own]).size, 3);
  assert.deepEqual([first.outcome, second.outcome], ['woken', 'woken']);
  assert.deepEqual(waiting.sort(), [first.own, second.own].sort());
});
