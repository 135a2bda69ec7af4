import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OutOfMemoryError } from '../errors/errors.js';
import { packBytes } from './item.js';
import { borrow, giveBack, INLINE_BYTES } from './parcel.js';
import type { Space } from './space.js';

const FULL = {
  allocate(): number {
    throw new OutOfMemoryError('full');
  },
  free() {},
} as Partial<Space> as Space;

test('bytes that wait for memory are those that were given, whatever becomes of the Buffer', () => {
  const parcel = borrow();
  const given = Buffer.alloc(INLINE_BYTES + 1, 'a');
  packBytes(given, parcel, FULL);
  given.fill('b');
  assert.equal(parcel.waiting?.[0], 'a'.charCodeAt(0));
  giveBack(parcel, FULL);
});
