import assert from 'node:assert/strict';
import { test } from 'node:test';
import vm from 'node:vm';
import fc from 'fast-check';
import { SerializationError } from '../errors/errors.js';
import { decode } from './decode.js';
import { encode, encodeInto, takeEncoded } from './encode.js';
import { assertAlike } from './equal.js';

function cross<T>(value: T): T {
  return decode(encode(value)) as T;
}

const primitives: [string, unknown][] = [
  ['undefined', undefined],
  ['null', null],
  ['true', true],
  ['false', false],
  ['zero', 0],
  ['minus zero', -0],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['minus Infinity', Number.NEGATIVE_INFINITY],
  ...[
    1,
    31,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65536,
    2 ** 31 - 1,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    0.1,
    5e-324,
  ].flatMap((n): [string, unknown][] => [
    [`${n}`, n],
    [`${-n}`, -n],
    [`${-n - 1}`, -n - 1],
  ]),
  ...[0n, 1n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n, 10n ** 400n].flatMap((n): [string, unknown][] => [
    [`${String(n).slice(0, 20)}n`, n],
    [`-${String(n).slice(0, 20)}n`, -n],
  ]),
  ['a registered symbol', Symbol.for('manyhands')],
  ['a well-known symbol', Symbol.asyncIterator],
];
for (const [name, value] of primitives) {
  test(`${name} crosses as itself`, () => assert.ok(Object.is(cross(value), value)));
}

test('strings of every length and alphabet cross, lone surrogates too', () => {
  for (const unit of ['a', 'é', '\0', 'č', '日', '😀', '\ud800', '\udfff', 'aé日']) {
    for (const count of [0, 1, 2, 3, 11, 12, 13, 31, 32, 39, 40, 41, 255, 256, 5000, 70_000]) {
      const text = unit.repeat(count);
      assert.equal(cross(text), text);
      assert.deepEqual(cross(['x', text, 'y', { k: text }]), ['x', text, 'y', { k: text }]);
    }
  }
});

test('a long string does not keep the message it came in alive', () => {
  const bytes = encode({ text: 'a string that is longer than twelve' });
  const { text } = decode(bytes) as { text: string };
  bytes.fill(0);
  assert.equal(text, 'a string that is longer than twelve');
});

const date = new Date(1_700_000_000_123);
const objects: [string, () => unknown][] = [
  ['an empty object', () => ({})],
  ['a plain object', () => ({ a: 1, b: 'two', c: [3], d: { e: null, f: undefined } })],
  ['an object without prototype', () => Object.assign(Object.create(null), { a: 1, ['__proto__']: 2 })],
  [
    'an object with many keys',
    () => Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key ${i}`, i])),
  ],
  ['an object with long keys', () => ({ ['k'.repeat(10_000)]: 1, ['ž'.repeat(300)]: 2 })],
  ['an object with keys like numbers', () => ({ 2: 'b', 1: 'a', x: 'c', '': 'empty' })],
  ['an object that hides inherited names', () => ({ toString: 1, constructor: 2, hasOwnProperty: 3 })],
  ['an empty array', () => []],
  [
    'arrays of 15, 16 and 5000 elements',
    () => [15, 16, 5000].map(length => Array.from({ length }, (_, i) => i)),
  ],
  // biome-ignore lint/suspicious/noSparseArray: missing elements are what is tested
  ['an array with missing elements', () => [, 1, , , undefined, 2, , ,]],
  ['an array of nothing but missing elements', () => new Array(100)],
  [
    'an array with own properties',
    () => Object.assign([1, 2, 3], { index: 0, '01': 'x', '4294967295': 'y' }),
  ],
  ['a long array with own properties', () => Object.assign(new Array(1000).fill(0), { unit: 'ms' })],
  ['a match', () => /(?<year>\d+)-(\d+)/.exec('2026-11')],
  ['a Date', () => date],
  ['a RegExp', () => /a\/b[^\n]+/giu],
  [
    'a Map',
    () =>
      new Map<unknown, unknown>([
        ['a', 1],
        [{}, new Map()],
        [Number.NaN, -0],
      ]),
  ],
  ['a Set', () => new Set<unknown>(['b', 'a', {}, new Set([1])])],
  ['an ArrayBuffer', () => new Uint8Array([1, 2, 3]).buffer],
  ['an empty ArrayBuffer', () => new ArrayBuffer(0)],
  ['a Buffer', () => Buffer.from('some bytes')],
  ['a DataView', () => new DataView(new ArrayBuffer(5), 1, 3)],
  ...[Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array].map(
    (type): [string, () => unknown] => [`a ${type.name}`, () => new type([1, 2, 255])],
  ),
  ['a Float32Array', () => new Float32Array([1.5, -0])],
  ['a Float64Array', () => new Float64Array([Number.NaN, 0.1])],
  ['a BigInt64Array', () => new BigInt64Array([-1n])],
  ['a BigUint64Array', () => new BigUint64Array([2n ** 64n - 1n])],
  ['boxed primitives', () => [1, 'abc', true, 10n, Symbol.iterator].map(Object)],
  ['a URL', () => new URL('https://user:pw@example.org:8080/a?b=c#d')],
  ['URLSearchParams', () => new URLSearchParams('a=1&a=2&b=%20')],
];
for (const [name, make] of objects) {
  test(`${name} crosses as an equal one`, () => {
    const value = make();
    assertAlike(cross(value), value);
    const twice = [value, { again: value }];
    assertAlike(cross(twice), twice);
  });
}

test('an invalid Date stays invalid', () => {
  const back = cross(new Date(Number.NaN));
  assert.ok(back instanceof Date && Number.isNaN(back.getTime()));
});

test('lastIndex of a RegExp starts over', () => {
  const pattern = /a/g;
  pattern.lastIndex = 3;
  assert.equal(cross(pattern).lastIndex, 0);
});

test('an array of three elements and a length of four billion crosses at once', () => {
  const sparse: unknown[] = ['first'];
  sparse[2_000_000_000] = 'middle';
  sparse.length = 2 ** 32 - 1;
  const bytes = encode(sparse);
  assert.ok(bytes.length < 100);
  const back = decode(bytes) as unknown[];
  assert.equal(back.length, sparse.length);
  assert.deepEqual(Object.entries(back), [
    ['0', 'first'],
    ['2000000000', 'middle'],
  ]);
});

test('"__proto__" as an own key stays an own key', () => {
  const value = JSON.parse('{"__proto__": {"polluted": true}, "b": 1}');
  for (let i = 0; i < 40; i++) {
    const back = cross(value);
    assert.deepEqual(Object.keys(back), ['__proto__', 'b']);
    assert.equal(Object.getPrototypeOf(back), Object.prototype);
    assert.equal(back.polluted, undefined);
  }
});

test('cycles and shared parts keep their identity', () => {
  type Node = {
    name: string;
    self?: unknown;
    list: unknown[];
    map: Map<unknown, unknown>;
    set: Set<unknown>;
  };
  const shared = { shared: true };
  const node: Node = { name: 'n', list: [shared, shared], map: new Map(), set: new Set() };
  node.self = node;
  node.list.push(node.list);
  node.map.set(node.map, node).set(shared, node.set);
  node.set.add(node.set).add(node);
  const back = cross(node);
  assert.equal(back.self, back);
  assert.equal(back.list[0], back.list[1]);
  assert.equal(back.list[2], back.list);
  assert.equal(back.map.get(back.map), back);
  assert.equal(back.map.get(back.list[0]), back.set);
  assert.ok(back.set.has(back.set) && back.set.has(back));
});

test('hundreds of shared objects keep their identity', () => {
  const nodes = Array.from({ length: 500 }, (_, i) => ({ i, next: undefined as unknown }));
  nodes.forEach((node, i) => {
    node.next = nodes[(i * 7) % nodes.length];
  });
  const back = cross(nodes);
  back.forEach((node, i) => {
    assert.equal(node.next, back[(i * 7) % back.length]);
  });
});

test('views of one ArrayBuffer that touch still share it, and carry no other bytes', () => {
  const pool = new Uint8Array(8192).fill(7);
  const [a, b, far] = [pool.subarray(100, 104), pool.subarray(102, 110), pool.subarray(4000, 4001)];
  const bytes = encode([a, b, far]);
  assert.ok(bytes.length < 60);
  const [a2, b2, far2] = decode(bytes) as Uint8Array[];
  assert.equal(a2.buffer, b2.buffer);
  assert.notEqual(a2.buffer, far2.buffer);
  a2[3] = 1;
  assert.equal(b2[1], 1);
  assert.equal(far2.buffer.byteLength, 1);
  const whole = cross({ view: a, buffer: pool.buffer });
  assert.equal(whole.view.buffer, whole.buffer);
  assert.equal(whole.view.byteOffset, 100);
});

test('a small Buffer does not bring its pool along', () => {
  const small = Buffer.from('x');
  const back = cross(small);
  assert.ok(Buffer.isBuffer(back));
  assert.equal(back.buffer.byteLength, 1);
});

test('elements wider than a byte are aligned wherever they come from', () => {
  const buffer = new ArrayBuffer(64);
  const bytes = new Uint8Array(buffer, 3, 20);
  const doubles = new Float64Array(buffer, 16, 2).fill(0.5);
  const back = cross({ bytes, doubles });
  assert.deepEqual(back, { bytes, doubles });
  assert.equal(back.bytes.buffer, back.doubles.buffer);
});

test('objects of another realm become ours', () => {
  const theirs = vm.runInNewContext('({ a: [1, new Map([[1, new Date(5)]])], e: new TypeError("no") })');
  const back = cross(theirs);
  assert.ok(
    Object.getPrototypeOf(back.a) === Array.prototype &&
      back.a[1] instanceof Map &&
      back.a[1].get(1) instanceof Date,
  );
  assert.ok(back.e instanceof TypeError);
});

test('an object made by Object.create() keeps its prototype’s properties', () => {
  const defaults = { colour: 'red', size: 1 };
  const back = cross(Object.assign(Object.create(defaults), { size: 2 }));
  assert.deepEqual(Object.keys(back), ['size']);
  assert.equal(back.colour, 'red');
});

test('Math, JSON and globalThis are those of the other side', () => {
  const back = cross({ Math, JSON, globalThis });
  assert.ok(back.Math === Math && back.JSON === JSON && back.globalThis === globalThis);
});

test('accessors are read, symbols as keys are left out', () => {
  const back = cross({
    get a() {
      return 1;
    },
    [Symbol.for('k')]: 2,
  });
  assert.deepEqual(Object.getOwnPropertyDescriptors(back), {
    a: { value: 1, writable: true, enumerable: true, configurable: true },
  });
});

test('any tree of plain data comes back alike', () => {
  const anything = fc.anything({
    values: [
      fc.boolean(),
      fc.integer(),
      fc.double(),
      fc.bigInt(),
      fc.string({ unit: 'binary' }),
      fc.constantFrom(null, undefined, -0, Symbol.for('s'), Symbol.iterator),
      fc.date({ noInvalidDate: true }),
    ],
    withMap: true,
    withSet: true,
    withSparseArray: true,
    withTypedArray: true,
    withNullPrototype: true,
    withBoxedValues: true,
    withObjectString: true,
    maxDepth: 4,
  });
  fc.assert(
    fc.property(anything, value => assertAlike(cross(value), value)),
    { numRuns: 500 },
  );
});

test('any graph comes back with the same identities', () => {
  const edges = fc.array(fc.tuple(fc.nat(30), fc.nat(30), fc.constantFrom('o', 'a', 'm', 's')), {
    maxLength: 80,
  });
  fc.assert(
    fc.property(edges, list => {
      const nodes = Array.from({ length: 31 }, (_, id) => ({
        id,
        o: {} as Record<string, unknown>,
        a: [] as unknown[],
        m: new Map<unknown, unknown>(),
        s: new Set<unknown>(),
      }));
      for (const [from, to, how] of list) {
        if (how === 'o') nodes[from].o[`to${to}`] = nodes[to];
        else if (how === 'a') nodes[from].a.push(nodes[to]);
        else if (how === 'm') nodes[from].m.set(nodes[to], to);
        else nodes[from].s.add(nodes[to]);
      }
      const root = nodes.slice(0, 3);
      const back = cross(root);
      assert.deepEqual(encode(back), encode(root));
      assertAlike(back, root);
    }),
    { numRuns: 200 },
  );
});

test('encodeInto() writes in place, and keeps what does not fit for takeEncoded()', () => {
  const value = [1, 'abc', { x: 1, y: [1, 2, 3] }, new Uint8Array(10), Buffer.from('ab')];
  const bytes = encode(value);
  for (const offset of [0, 5]) {
    for (let size = 0; size < bytes.length + 20; size++) {
      const target = new Uint8Array(offset + size + 3).fill(0xee);
      const window = target.subarray(0, offset + size);
      const written = encodeInto(value, window, offset);
      assert.deepEqual(target.subarray(0, offset), new Uint8Array(offset).fill(0xee));
      assert.deepEqual(target.subarray(offset + size), new Uint8Array(3).fill(0xee));
      if (size >= bytes.length) {
        assert.equal(written, bytes.length);
        assert.deepEqual(target.slice(offset, offset + written), bytes);
        assert.deepEqual(decode(target, offset, written), value);
      } else {
        assert.equal(written, -bytes.length);
        assert.deepEqual(takeEncoded(), bytes);
        assert.throws(takeEncoded, RangeError);
      }
    }
  }
});

test('messages far larger than the buffer cross', () => {
  const value = Array.from({ length: 20_000 }, (_, i) => ({
    i,
    text: `number ${i}`,
    bytes: new Uint8Array(3),
  }));
  assert.deepEqual(cross(value), value);
});

test('a getter may encode and decode while its object is encoded', () => {
  const inner = {
    get deep() {
      return cross({ a: [1, { x: 1 }], b: 'inner' });
    },
    x: 1,
  };
  assert.deepEqual(cross({ a: inner, b: [inner.deep], x: 2 }), {
    a: { deep: { a: [1, { x: 1 }], b: 'inner' }, x: 1 },
    b: [{ a: [1, { x: 1 }], b: 'inner' }],
    x: 2,
  });
});

test('containers that change while they are encoded do no harm', () => {
  const list: unknown[] = [
    1,
    {
      get a() {
        list.length = 1;
        return 2;
      },
    },
    3,
  ];
  assert.deepEqual(cross(list).slice(0, 2), [1, { a: 2 }]);
  const map = new Map<unknown, unknown>([
    [
      1,
      {
        get a() {
          map.clear();
          return 2;
        },
      },
    ],
    [2, 3],
  ]);
  assert.deepEqual(
    cross(map),
    new Map<unknown, unknown>([
      [1, { a: 2 }],
      [2, 3],
    ]),
  );
  const object: Record<string, unknown> = {
    get a() {
      delete object.b;
      return 1;
    },
    b: 2,
  };
  assert.deepEqual(cross(object), { a: 1, b: undefined });
});

test('a value nested too deeply is a SerializationError, and the next one crosses', () => {
  let nested: unknown = 'core';
  for (let i = 0; i < 100_000; i++) nested = i % 2 ? [nested] : { nested };
  assert.throws(() => encode(nested), { name: 'SerializationError', message: /nested too deeply/ });
  assert.deepEqual(cross({ a: 1 }), { a: 1 });
});

test('an error thrown by a getter is the cause, and the path leads there', () => {
  const thrown = new Error('not now');
  const value = {
    list: [
      0,
      {
        get x() {
          throw thrown;
        },
      },
    ],
  };
  assert.throws(
    () => encode(value, { root: 'args' }),
    (error: unknown) =>
      error instanceof SerializationError && error.path === 'args.list[1].x' && error.cause === thrown,
  );
});

test('many shapes in one message, and more than the tables hold, cross', () => {
  const value = Array.from({ length: 3000 }, (_, i) => ({
    [`a${i}`]: i,
    [`b${i % 7}`]: { [`c${i % 100}`]: i },
  }));
  assert.deepEqual(cross([value, value.slice(0, 50)]), [value, value.slice(0, 50)]);
});
