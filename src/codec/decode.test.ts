import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SerializationError } from '../errors/errors.js';
import { decode, decodeAsync, needsModules } from './decode.js';
import { encode } from './encode.js';
import { NotFoundError, Point, Registry } from './fixtures.js';
import { FLAG, MOST_PROTOTYPES, TAG } from './tags.js';

/** Decodes; the only way to fail is a SerializationError. */
function survive(bytes: Uint8Array): void {
  try {
    decode(bytes);
  } catch (error) {
    assert.ok(error instanceof SerializationError, `${error}`);
  }
}

const cyclic: { self?: unknown; list: unknown[] } = { list: [1, 2] };
cyclic.self = cyclic;
cyclic.list.push(cyclic.list);

const samples: unknown[] = [
  [1, 'abc', { x: 1, y: [1, 2, 3] }],
  cyclic,
  [
    -1,
    300,
    70_000,
    0.5,
    10n ** 30n,
    5n,
    Symbol.iterator,
    Symbol.for('x'),
    'ž',
    'x'.repeat(200),
    'ž'.repeat(200),
  ],
  [
    new Map([[1, { a: 1 }]]),
    new Set([{ a: 1 }, { a: 2 }]),
    new Date(5),
    /x/g,
    new URL('http://a/'),
    Object(1),
  ],
  [
    new Uint8Array(20),
    new Float64Array(3),
    Buffer.from('abc'),
    new ArrayBuffer(4),
    new DataView(new ArrayBuffer(2)),
  ],
  [
    // biome-ignore lint/suspicious/noSparseArray: missing elements are what is tested
    [1, , 2, , ,],
    Object.assign([1], { a: 1 }),
    Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`${i}k`, i])),
  ],
  [new TypeError('no', { cause: 1 }), new AggregateError([1], 'x'), new DOMException('a', 'AbortError')],
  [
    Object.assign(Object.create(null), { a: 1 }),
    Object.create({ a: 1 }),
    new Point(1, 2),
    new Registry(),
    Math,
  ],
  new NotFoundError(5),
];

test('every message cut short anywhere is a SerializationError', () => {
  for (const sample of samples) {
    const bytes = encode(sample);
    decode(bytes);
    for (let length = 0; length < bytes.length; length++) {
      assert.throws(() => decode(bytes.slice(0, length)), SerializationError);
      assert.throws(() => decode(bytes, 0, length), SerializationError);
    }
    const longer = new Uint8Array(bytes.length + 1);
    longer.set(bytes);
    assert.throws(() => decode(longer), SerializationError);
  }
});

test('random bytes are decoded or refused', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), bytes => survive(bytes)),
    { numRuns: 5000 },
  );
});

test('damaged messages are decoded or refused', () => {
  const messages = samples.map(sample => encode(sample));
  const damage = fc.array(
    fc.tuple(fc.nat(), fc.oneof(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 0xc0, max: 0xff }))),
    {
      minLength: 1,
      maxLength: 4,
    },
  );
  fc.assert(
    fc.property(fc.constantFrom(...messages), damage, (message, changes) => {
      const bytes = message.slice();
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      survive(bytes);
    }),
    { numRuns: 5000 },
  );
});

test('announcing billions of things allocates nothing', () => {
  const huge = [0xff, 0xff, 0xff, 0xff, 0x0f];
  for (let tag = 0x80; tag < 0x100; tag++) {
    for (const rest of [huge, [...huge, ...huge], [1, ...huge], [0, 0, ...huge], [0xff, 0xff, ...huge]]) {
      const before = process.memoryUsage().rss;
      survive(Uint8Array.from([tag, ...rest]));
      survive(Uint8Array.from([0xff, 4, ...rest]));
      assert.ok(process.memoryUsage().rss - before < 100e6, `tag ${tag}`);
    }
  }
});

test('nesting without end is refused', () => {
  for (const tag of [0xa1, 0xd7, 0xdd, 0xd8]) {
    assert.throws(() => decode(new Uint8Array(2_000_000).fill(tag)), SerializationError);
  }
  assert.deepEqual(decode(encode([1])), [1]);
});

test('missing elements take memory only in proportion to the message', () => {
  const heap = () => process.memoryUsage().heapUsed;
  const huge = [0x80, 0x8e, 0xce, 0x1c]; // 60 million
  const many = [0xc0, 0x84, 0x3d]; // a million
  const messages = [
    [TAG.array, ...huge, TAG.holes, ...huge],
    [TAG.array, 100, ...new Array(100).fill([TAG.array, ...many, TAG.holes, ...many]).flat()],
    [TAG.array, ...many, 1, TAG.hole, TAG.holes, 127, ...new Array(500).fill([TAG.holes, 100, 5]).flat()],
  ];
  for (const message of messages) {
    const before = heap();
    survive(Uint8Array.from(message));
    assert.ok(heap() - before < 4e6, `${message.length} bytes became ${heap() - before}`);
  }
  const sparse: unknown[] = [1];
  sparse[5_000_000] = { last: true };
  sparse.length = 5_000_010;
  const fewMissing = Object.assign([], { 1: 1 });
  const back = decode(encode([sparse, sparse, fewMissing])) as unknown[][];
  assert.deepEqual(Object.keys(back[0]), ['0', '5000000']);
  assert.equal(back[0].length, 5_000_010);
  assert.equal(back[0], back[1]);
  assert.deepEqual(back[2], fewMissing);
  back[0].push(2);
  assert.equal(back[0][5_000_010], 2);
});

test('a chain of prototypes may be as long as MOST_PROTOTYPES, here and there', () => {
  let object: object = {};
  for (let i = 2; i < MOST_PROTOTYPES; i++) object = Object.create(object);
  const back = decode(encode(Object.create(object)));
  let length = 0;
  for (let at = Object.getPrototypeOf(back); at !== null; at = Object.getPrototypeOf(at)) length++;
  assert.equal(length, MOST_PROTOTYPES);
  assert.throws(() => encode(Object.create(Object.create(object))), /chain of prototypes is longer than 100/);
  // One object on another, each named by its number: no nesting tells how long the chain is.
  const chain = Array.from({ length: MOST_PROTOTYPES + 2 }, (_, i) => [
    TAG.withPrototype,
    TAG.reference,
    i,
    0xd5,
    0,
  ]);
  const refused = Uint8Array.from([TAG.prefix, FLAG.shared, TAG.array, chain.length, ...chain.flat()]);
  assert.throws(() => decode(refused), /a chain of prototypes is too long/);
});

test('a list of keys that is kept is a short one', () => {
  const key = [TAG.latin1, 0xa0, 0x9c, 1, ...new Array(20_000).fill(65)];
  const length = key.length + 1;
  const message = Uint8Array.from([TAG.define, 0, 0, length & 255, length >> 8, 1, ...key, 5]);
  assert.throws(() => decode(message), /a list of keys is too long/);
});

test('nothing decoded refers to the message', () => {
  const value = { bytes: new Uint8Array([1, 2, 3]), text: 'some text of some length', list: [1n, 0.5] };
  const message = encode(value);
  const back = decode(message);
  message.fill(0xaa);
  assert.deepEqual(back, value);
});

test('a message is found at any place in a larger memory', () => {
  const memory = new Uint8Array(new SharedArrayBuffer(16_384)).fill(0xff);
  const message = encode(samples);
  for (const offset of [0, 1, 7, 1000]) {
    memory.set(message, offset);
    assert.deepEqual(encode(decode(memory, offset, message.length)), message);
  }
  assert.throws(() => decode(memory, 16_380, 10), RangeError);
  assert.throws(() => decode(memory, -1, 10), RangeError);
});

test('a thenable comes out of decodeAsync() as it is', async () => {
  const thenable = Object.fromEntries([['then', (resolve: (value: number) => void) => resolve(1)]]);
  const { value } = await decodeAsync(encode(thenable));
  assert.deepEqual(Object.keys(value as object), ['then']);
});

test('a message of plain data needs no modules, one with a class of a loaded module neither', () => {
  assert.equal(needsModules(encode([1, 'abc'])), false);
  assert.equal(needsModules(encode([cyclic, new Uint8Array(3)])), false);
  assert.equal(needsModules(encode(new Point(1, 2))), false);
});

test('a module that is not loaded is loaded by decodeAsync() only', async () => {
  const module = 'data:text/javascript,export const twice = x => 2 * x';
  const prefix = [TAG.prefix, FLAG.modules, 1, ...encode(module)];
  const message = Uint8Array.from([...prefix, TAG.smallArray + 2, 1, TAG.imported, 0, 1, ...encode('twice')]);
  assert.equal(needsModules(message), true);
  assert.throws(() => decode(message), { name: 'SerializationError', message: /use the asynchronous form/ });
  const pending = decodeAsync(message);
  message.fill(0);
  const { value } = await pending;
  assert.equal((value as [number, (x: number) => number])[1](21), 42);
});
