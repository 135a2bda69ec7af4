import assert from 'node:assert/strict';
import { test } from 'node:test';
import zlib from 'node:zlib';
import { crc32, crc32ByTable } from './crc32.js';

test('the checksum is that of zlib, by table or not, also in pieces', () => {
  const text = Buffer.from('123456789');
  for (const checksum of [crc32, crc32ByTable]) {
    assert.equal(checksum(text), 0xcbf43926);
    assert.equal(checksum(text.subarray(4), checksum(text.subarray(0, 4))), 0xcbf43926);
    assert.equal(checksum(Buffer.alloc(0)), 0);
  }
  if (zlib.crc32 === undefined) return;
  const bytes = Buffer.from(Array.from({ length: 999 }, (_, i) => (i * i * 7) & 255));
  for (const seed of [0, 1, 0x7fffffff, 0xffffffff])
    assert.equal(crc32ByTable(bytes, seed), zlib.crc32(bytes, seed));
});
