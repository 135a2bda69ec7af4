import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { getHeapStatistics } from 'node:v8';
import { SerializationError, TimeoutError } from '../errors/errors.js';
import { decode, needsModules } from './decode.js';
import { encode } from './encode.js';
import { NotFoundError, Point, Registry, Stack, Tagged, Trap, trapped } from './fixtures.js';
import { TAG } from './tags.js';

/*
 * decode() is given what no encode() has written: noise, and messages of every kind of value with something changed in them. Whatever
 * comes, there is a value or a SerializationError, soon, with memory in proportion to the message, and nothing else is another
 * than before. MANYHANDS_FUZZ_MS: for how long, ms; MANYHANDS_FUZZ_SEED: a number that a failure has told, to see it again.
 */
const MS = Number(process.env.MANYHANDS_FUZZ_MS ?? 800);
const SEED = Number(process.env.MANYHANDS_FUZZ_SEED ?? Date.now() % 2 ** 31);
const LIMIT = { timeout: MS * 2 + 60_000 };

/** Memory that one message may come to need: so much for a byte, as an empty Map has two; and what V8 does meanwhile. */
const A_BYTE = 200;
const IN_ANY_CASE = 2 ** 23;

/** CPU time that one message of a few hundred bytes may take, ms. */
const SOON = 1_000;

const cyclic: { self?: unknown; list: unknown[] } = { list: [1, 2] };
cyclic.self = cyclic;
cyclic.list.push(cyclic.list, new Map([[cyclic, cyclic]]));
const shared = new ArrayBuffer(24);

const VALUES: unknown[] = [
  [1, -1, 300, -70_000, 2 ** 40, -0, Number.NaN, 0.5, true, false, null, undefined],
  [
    5n,
    -(2n ** 63n),
    10n ** 40n,
    Symbol.iterator,
    Symbol.for('x'),
    'short',
    'ž',
    'x'.repeat(200),
    'ž\ud800'.repeat(60),
  ],
  Array.from({ length: 20 }, (_, i) => ({ id: i, name: `n${i}`, tags: ['a', i], at: { x: i / 3, y: -i } })),
  Object.fromEntries(Array.from({ length: 40 }, (_, i) => [`key ${i}`, i])),
  JSON.parse('{"__proto__": {"polluted": 1}, "constructor": {"prototype": {"polluted": 2}}, "toString": 3}'),
  cyclic,
  // biome-ignore lint/suspicious/noSparseArray: missing elements are one of the kinds
  [[1, , 2, , ,], new Array(300), Object.assign([1, 2], { name: 'with fields', 9: 'x' })],
  new Map<unknown, unknown>([
    [1, { a: 1 }],
    [{ k: 1 }, new Set([1, 'b', [2]])],
  ]),
  [
    new Date(5),
    new Date(Number.NaN),
    /a(b)+/gi,
    new URL('http://u@a:1/b?c#d'),
    new URLSearchParams('a=1&b=2'),
  ],
  [Object(1), Object('s'), Object(2n), Object(Symbol.for('y')), Object(false)],
  [
    new Uint8Array(shared, 3, 5),
    new Float64Array(shared, 8),
    shared,
    new DataView(shared, 1, 2),
    Buffer.from('abc'),
  ],
  [new BigInt64Array([1n, -1n]), new Uint16Array(3), new Int8Array(0), new Uint8Array(300).fill(7)],
  [new TypeError('no', { cause: new Error('why') }), new AggregateError([1, new RangeError('x')], 'all')],
  [
    new DOMException('a', 'AbortError'),
    new TimeoutError('late'),
    Object.assign(new Error('e'), { code: 'E', n: [1] }),
  ],
  [
    Object.assign(Object.create(null), { a: 1 }),
    Object.create(Object.create({ a: 1 })),
    Object.create({ b: {} }),
  ],
  [
    new Point(1, 2),
    new Registry([['a', 1]]),
    Stack.of(1, 2),
    new Tagged(3),
    new NotFoundError(5),
    Trap.sleeping(),
  ],
  [Math, JSON, globalThis, console],
];

test('noise and damaged messages give a value or a SerializationError, and change nothing else', LIMIT, t => {
  t.diagnostic(`MANYHANDS_FUZZ_SEED=${SEED}`);
  const below = randomBelow(SEED);
  const messages = VALUES.map(value => encode(value));
  const wholes = messages.map(message => inspect(decode(message), { depth: 9 }));
  const before = surroundings();
  const counts = { values: 0, refusals: 0 };
  for (const until = Date.now() + MS; Date.now() < until; ) {
    for (let i = 0; i < 200; i++) {
      const bytes = below(5) === 0 ? noise(below) : damaged(messages, below);
      counts[feed(bytes)]++;
    }
    assert.deepEqual(surroundings(), before, `seed ${SEED}`);
    const one = below(messages.length);
    assert.equal(inspect(decode(messages[one]), { depth: 9 }), wholes[one], `seed ${SEED}`);
  }
  assert.deepEqual(trapped, [], 'a constructor, a getter or a setter ran');
  assert.ok(counts.values > 0 && counts.refusals > 0, inspect(counts));
  t.diagnostic(inspect(counts));
});

function feed(bytes: Uint8Array): 'values' | 'refusals' {
  const what = (): string => `seed ${SEED}: ${Buffer.from(bytes).toString('hex')}`;
  const memory = memoryNow();
  const time = process.cpuUsage();
  let is: 'values' | 'refusals';
  try {
    needsModules(bytes);
    decode(bytes);
    is = 'values';
  } catch (error) {
    assert.ok(error instanceof SerializationError, `${what()} ${inspect(error)}`);
    is = 'refusals';
  }
  const { user, system } = process.cpuUsage(time);
  assert.ok(user + system < SOON * 1e3, `${what()} took ${(user + system) / 1e3} ms`);
  const grown = memoryNow() - memory;
  assert.ok(grown < IN_ANY_CASE + bytes.length * A_BYTE, `${what()} took ${grown} bytes`);
  return is;
}

function memoryNow(): number {
  const { used_heap_size, external_memory } = getHeapStatistics() as ReturnType<typeof getHeapStatistics> & {
    external_memory: number;
  };
  return used_heap_size + external_memory;
}

/** What a message must leave as it is: what everything inherits from, the globals, how errors are made. */
function surroundings(): unknown {
  const inherited = [
    Object,
    Array,
    Function,
    Map,
    Set,
    Error,
    Promise,
    Uint8Array,
    Buffer,
    URL,
    RegExp,
    Date,
    String,
  ];
  return [
    ...inherited.map(type => Reflect.ownKeys(type.prototype).map(String).join()),
    ...[globalThis, process, Math, JSON, Reflect, console, Symbol].map(
      object => Reflect.ownKeys(object).length,
    ),
    Object.getPrototypeOf(Object.prototype),
    Error.stackTraceLimit,
  ];
}

type Below = (n: number) => number;

/** Whole numbers below n that follow from a seed. Source: G. Marsaglia, "Xorshift RNGs". */
function randomBelow(seed: number): Below {
  let state = seed | 1;
  return n => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
}

/** Tags more often than chance would have it: else half of all is small numbers. */
function byte(below: Below): number {
  return below(2) === 0 ? TAG.undefined + below(64) : below(256);
}

function noise(below: Below): Uint8Array {
  return Uint8Array.from({ length: below(80) }, () => byte(below));
}

/** Large numbers where there was a small one; lengths are written so. */
const HUGE: readonly number[][] = [
  [0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0x0f],
  [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
  [0x80, 0x80, 0x80, 0x10],
];

function damaged(messages: readonly Uint8Array[], below: Below): Uint8Array {
  let bytes = [...messages[below(messages.length)]];
  for (let changes = below(2) === 0 ? 1 : 1 + below(4); changes > 0; changes--) {
    const at = below(bytes.length + 1);
    const length = below(12);
    const other = messages[below(messages.length)];
    switch (below(8)) {
      case 0:
        bytes[at] ^= 1 << below(8);
        break;
      case 1:
        bytes[at] = byte(below);
        break;
      case 2:
        bytes.splice(at, 1, ...HUGE[below(HUGE.length)]);
        break;
      case 3:
        bytes.splice(at, length);
        break;
      case 4:
        bytes.splice(at, 0, ...bytes.slice(below(bytes.length + 1)).slice(0, length));
        break;
      case 5: {
        const from = below(other.length);
        bytes.splice(at, below(2) * length, ...other.subarray(from, from + below(40)));
        break;
      }
      case 6:
        bytes = bytes.slice(0, at);
        break;
      default:
        bytes.splice(at, 0, ...Array.from({ length }, () => byte(below)));
    }
  }
  return Uint8Array.from(bytes, each => each ?? 0);
}
