import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SerializationError } from '../errors/errors.js';
import { decode } from './decode.js';
import { encode, encodeInto, takeEncoded } from './encode.js';

/** Encodes into `room` bytes; what was asked for beyond them, and the message. */
function crossInto(value: unknown, room: number) {
  const target = new Uint8Array(room);
  const asked: number[] = [];
  let given = new Uint8Array(0);
  const spill = (bytes: number) => {
    asked.push(bytes);
    given = new Uint8Array(bytes);
    return given;
  };
  const length = encodeInto(value, target, 0, { spill });
  const isSpilled = asked.length > 0;
  const message = isSpilled
    ? given.subarray(0, -length)
    : length < 0
      ? takeEncoded().slice()
      : target.subarray(0, length);
  return { asked, length, message };
}

const MANY = 100_000;

test('bytes that do not fit go straight to the memory asked for, which is hardly longer than the message', () => {
  const bytes = new Uint8Array(MANY).fill(7);
  const value = { deeply: [new Map([['nested', { bytes, again: bytes.subarray(10, 20) }]])], after: 'text' };
  const { asked, length, message } = crossInto([value], 200);
  assert.equal(asked.length, 1);
  assert.ok(asked[0] >= -length && asked[0] <= -length + 8, `${asked[0]} for ${length}`);
  assert.deepEqual(decode(message), [value]);
  assert.throws(takeEncoded, RangeError, 'nothing is left to be taken');
});

test('what fits asks for nothing, and neither does what has no bytes in it', () => {
  assert.deepEqual(crossInto(new Uint8Array(100), 200).asked, []);
  const text = 'x'.repeat(MANY);
  const { asked, length, message } = crossInto(text, 200);
  assert.deepEqual(asked, []);
  assert.ok(length < -MANY);
  assert.equal(decode(message), text);
});

test('a value that is too long before its bytes are written goes there as a whole', () => {
  const value = ['x'.repeat(MANY), new Uint8Array(10).fill(1), Buffer.alloc(MANY, 2)];
  for (const room of [10, 200, MANY + 50]) {
    const { asked, message } = crossInto(value, room);
    assert.equal(asked.length, 1);
    assert.deepEqual(decode(message), value);
  }
});

test('when there is no such memory, the message is left to be taken', () => {
  const bytes = new Uint8Array(MANY).fill(3);
  const length = encodeInto([bytes], new Uint8Array(64), 0, { spill: () => undefined });
  assert.ok(length < -MANY);
  assert.deepEqual(decode(takeEncoded()), [bytes]);
});

test('what getters encode meanwhile goes its own way', () => {
  const inner = new Uint8Array(MANY).fill(1);
  const outer = new Uint8Array(MANY).fill(2);
  const seen: unknown[] = [];
  const value = {
    outer,
    get inner() {
      seen.push(decode(crossInto(inner, 10).message));
      return inner;
    },
  };
  const { message, asked } = crossInto(value, 10);
  assert.equal(asked.length, 1);
  assert.deepEqual(decode(message), { outer, inner });
  assert.deepEqual(seen, [inner]);
});

test('views of every kind and number cross, whatever room there is', () => {
  const view = fc.oneof(
    fc.uint8Array({ maxLength: 300 }),
    fc.float64Array({ maxLength: 40 }),
    fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes)),
    fc.uint16Array({ minLength: 2, maxLength: 40 }).map(array => array.subarray(1)),
    fc.uint8Array({ maxLength: 20 }).map(bytes => bytes.slice().buffer),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(view, fc.string()), { maxLength: 300 }), fc.nat(3000), (value, room) => {
      assert.deepEqual(decode(crossInto(value, room).message), value);
    }),
    { numRuns: 300 },
  );
});

test('what encode() returns is the caller’s own, however long', () => {
  for (const length of [10, MANY, 5_000_000]) {
    const bytes = new Uint8Array(length).fill(1);
    const message = encode([bytes]);
    assert.equal(Object.getPrototypeOf(message), Uint8Array.prototype);
    encode([new Uint8Array(length).fill(2)]);
    bytes.fill(3);
    assert.deepEqual(decode(message), [new Uint8Array(length).fill(1)]);
  }
});

test('more than 4 GiB in one message is refused before any of it is copied', () => {
  // Never touched, so that it is address space only.
  const buffers = Array.from({ length: 5 }, () => new ArrayBuffer(2 ** 30));
  const spill = () => assert.fail('memory was asked for');
  const refusal = (error: unknown) =>
    error instanceof SerializationError && /more than 4 GiB/.test(error.message);
  assert.throws(() => encode(buffers), refusal);
  assert.throws(() => encodeInto(buffers, new Uint8Array(10), 0, { spill }), refusal);
});
