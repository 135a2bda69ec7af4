import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PAGE_BYTES } from './layout.js';
import { BLOCKS, COUNTS, classOf, GRAIN, SIZES, SMALL_BYTES } from './sizes.js';

test('blocks of every class lie in their page, aligned, behind their owner words', () => {
  for (const [k, size] of SIZES.entries()) {
    assert.equal(size % GRAIN, 0);
    assert.equal(BLOCKS[k] % GRAIN, 0);
    assert.ok(BLOCKS[k] >= 4 + 4 * COUNTS[k]);
    assert.ok(BLOCKS[k] + size * COUNTS[k] <= PAGE_BYTES);
    assert.ok(COUNTS[k] >= 2);
    if (k > 0) assert.ok(size > SIZES[k - 1] && COUNTS[k] < COUNTS[k - 1]);
  }
});

test('a class is the first that fits', () => {
  for (let size = 0; size <= SMALL_BYTES; size++) {
    const k = classOf(size);
    assert.ok(SIZES[k] >= size);
    assert.ok(k === 0 || SIZES[k - 1] < size);
  }
});

test('rounding up to a class wastes a fifth of a block at most, up to 1 KiB', () => {
  for (let size = 81; size <= 1024; size++) assert.ok(size / SIZES[classOf(size)] >= 0.8, `${size}`);
});
