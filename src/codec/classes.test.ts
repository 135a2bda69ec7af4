import assert from 'node:assert/strict';
import { EventEmitter, once } from 'node:events';
import net from 'node:net';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { inherits } from 'node:util';
import { MessageChannel, Worker } from 'node:worker_threads';
import { SerializationError } from '../errors/errors.js';
import { decode } from './decode.js';
import { encode } from './encode.js';
import { assertAlike } from './equal.js';
import { MoreSecret, Point, Registry, Secret, Stack, Tagged } from './fixtures.js';

function cross<T>(value: T): T {
  return decode(encode(value)) as T;
}

test('an object of an importable class is one of that class', () => {
  const back = cross([new Point(3, 4), new Point(0, 1)]);
  assertAlike(back, [new Point(3, 4), new Point(0, 1)]);
  assert.ok(back[0] instanceof Point);
  assert.equal(back[0].length, 5);
});

test('subclasses of built-in classes keep contents, own fields and prototype', () => {
  const registry = new Registry([['a', 1]]);
  registry.owner = 'me';
  registry.set('self', registry);
  const stack = new Stack();
  stack.push(1, stack);
  stack.limit = 5;
  const tagged = Object.assign(new Tagged([1, 2, 3]), { tag: 'bytes' });
  const back = cross({ registry, stack, tagged });
  assert.ok(
    back.registry instanceof Registry && back.stack instanceof Stack && back.tagged instanceof Tagged,
  );
  assert.equal(back.registry.get('self'), back.registry);
  assert.equal(back.registry.owner, 'me');
  assert.equal(back.stack[1], back.stack);
  assert.equal(back.stack.limit, 5);
  assert.deepEqual([...back.tagged], [1, 2, 3]);
  assert.equal(back.tagged.tag, 'bytes');
});

test('an object of a class that cannot be imported has its methods over there', () => {
  class Counter {
    count = 1;
    static zero = new Counter(0);
    constructor(count: number) {
      this.count = count;
    }
    add(n: number): Counter {
      return new Counter(this.count + n);
    }
  }
  class Twice extends Counter {
    override add(n: number): Counter {
      return super.add(2 * n);
    }
  }
  const back = cross({ counters: [new Counter(1), new Twice(2)], Counter });
  const [one, two] = back.counters;
  assert.ok(one instanceof back.Counter && two instanceof back.Counter);
  assert.equal(one.add(2).count, 3);
  assert.equal(two.add(2).count, 6);
  assert.ok(back.Counter.zero instanceof back.Counter);
});

test('an object of a class that cannot be imported is of that class again when it comes back', async () => {
  class Money {
    constructor(readonly cents: number) {}
    plus(other: Money): Money {
      return new Money(this.cents + other.cents);
    }
  }
  const there = new Worker(
    `const { parentPort, workerData } = require('node:worker_threads');
     const { decode } = require(workerData.decode);
     const { encode } = require(workerData.encode);
     const [a, b] = decode(workerData.bytes);
     const [c] = decode(workerData.bytes);
     parentPort.postMessage(encode({ sum: a.plus(b), sameClass: a.constructor === c.constructor }));`,
    {
      eval: true,
      workerData: {
        bytes: encode([new Money(1), new Money(2)]),
        decode: require.resolve('./decode.js'),
        encode: require.resolve('./encode.js'),
      },
    },
  );
  const [message] = (await once(there, 'message')) as [Uint8Array];
  await there.terminate();
  const { sum, sameClass } = decode(message) as { sum: Money; sameClass: boolean };
  assert.ok(sum instanceof Money);
  assert.equal(sum.cents, 3);
  assert.ok(sameClass);
});

test('an object of an old-style constructor has its methods over there', () => {
  function Animal(this: { name: string }, name: string): void {
    this.name = name;
  }
  Animal.prototype.speak = function (this: { name: string }) {
    return `I am ${this.name}`;
  };
  const Old = Animal as unknown as new (name: string) => { name: string; speak(): string };
  assert.equal(cross(new Old('Rex')).speak(), 'I am Rex');
});

test('a class that refers to an object of itself crosses', () => {
  class Node {
    static root: Node;
    parent: Node = this;
  }
  Node.root = new Node();
  const back = cross(Node.root);
  assert.equal(back.parent, back);
  assert.equal((back.constructor as typeof Node).root, back);
});

test('fields do not run setters of their class', () => {
  class Guarded {
    get value(): number {
      throw new Error('getter ran');
    }
  }
  const object = new Guarded();
  Object.defineProperty(object, 'value', { value: 5, enumerable: true });
  assert.equal(cross(object).value, 5);
});

const refused: [string, () => unknown, RegExp][] = [
  ['a private field', () => new Secret(), /Secret has the private member #key/],
  ['a private field of a base class', () => new MoreSecret(), /Secret has the private member #key/],
  [
    'a private method',
    () =>
      new (class Lone {
        #go() {}
        go() {
          this.#go();
        }
      })(),
    /private member #go/,
  ],
  ['a Promise', () => Promise.resolve(), /Promise.*await it/],
  ['a WeakMap', () => new WeakMap(), /WeakMap/],
  ['a WeakSet', () => new WeakSet(), /WeakSet/],
  ['a WeakRef', () => new WeakRef({}), /WeakRef/],
  ['process.env', () => process.env, /native class without a name.*process\.env/],
  ['a Proxy', () => new Proxy({}, {}), /Proxy/],
  ['a Proxy of an array', () => new Proxy([], {}), /Proxy/],
  ['a Proxy of a function', () => new Proxy(() => 1, {}), /Proxy/],
  ['a generator', () => (function* () {})(), /generator/],
  ['an iterator', () => [1].values(), /Array Iterator/],
  ['a Map iterator', () => new Map().keys(), /Map Iterator/],
  ['a SharedArrayBuffer', () => new SharedArrayBuffer(1), /SharedArrayBuffer.*: copy its bytes/],
  [
    'a view of a SharedArrayBuffer',
    () => new Uint8Array(new SharedArrayBuffer(1)),
    /SharedArrayBuffer.*: copy the bytes/,
  ],
  ['a symbol of its own', () => Symbol('mine'), /Symbol\(mine\).*Symbol\.for/],
  ['a socket', () => new net.Socket(), /Socket.*connect over there/],
  ['a stream', () => new PassThrough(), /PassThrough/],
  ['an emitter', () => new (class Mine extends EventEmitter {})(), /Mine/],
  ['an AbortSignal', () => new AbortController().signal, /AbortSignal/],
  ['an Intl formatter', () => new Intl.NumberFormat(), /NumberFormat/],
  ['a module namespace', () => modulePromise, /module namespace/],
  ['an object that only claims to be a Map', () => Object.create(Map.prototype), /Map/],
];
let modulePromise: unknown;
test.before(async () => {
  modulePromise = await import('node:os');
});
for (const [name, make, message] of refused) {
  test(`${name} is refused, with its path`, () => {
    const culprit = make();
    assert.throws(
      () => encode([0, { db: { 'the key': culprit } }], { root: 'args' }),
      (error: unknown) => {
        assert.ok(error instanceof SerializationError);
        assert.equal(error.path, 'args[1].db["the key"]');
        assert.match(error.message, /^Cannot send args\[1\]\.db\["the key"\] as .+: .+/);
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test('timers, ports and inherited streams are refused', () => {
  const timer = setTimeout(() => {}, 1000);
  clearTimeout(timer);
  const { port1, port2 } = new MessageChannel();
  port2.close();
  for (const culprit of [timer, port1]) assert.throws(() => encode(culprit), SerializationError);
  function Old(): void {}
  inherits(Old, EventEmitter);
  assert.throws(() => encode(new (Old as unknown as new () => object)()), SerializationError);
});

test('paths lead through maps, sets, instances and closures', () => {
  const socket = new Proxy({}, {});
  const paths: [unknown, string][] = [
    [socket, 'args'],
    [new Map([['k', socket]]), 'args.get("k")'],
    [new Map([[{}, socket]]), 'args.values()[0]'],
    [new Map([[socket, 1]]), 'args.keys()[0]'],
    [new Set([1, socket]), 'args.values()[1]'],
    [Object.assign(new Point(1, 2), { socket }), 'args.socket'],
    [Object.assign([1], { socket }), 'args.socket'],
    [new Error('no', { cause: { socket } }), 'args.cause.socket'],
    [new AggregateError([1, socket]), 'args.errors[1]'],
  ];
  for (const [value, path] of paths) assert.throws(() => encode(value, { root: 'args' }), { path });
  assert.throws(() => encode({ args: [socket] }, { root: '' }), { path: 'args[0]' });
  const db = { socket };
  const task = (): unknown => db;
  assert.throws(() => encode(task, { root: 'task' }), { path: 'closure of task → db.socket' });
  assert.throws(() => encode([task], { root: 'args' }), { path: 'args[0], closure of task → db.socket' });
});

test('functions and what they capture keep their identity', () => {
  const shared = { count: 0 };
  const increment = (): number => ++shared.count;
  const recurse = (n: number): number => (n === 0 ? 0 : 1 + recurse(n - 1));
  const holder = { shared, increment, recurse, again: increment, viaSelf: () => holder };
  const back = cross(holder);
  assert.equal(back.increment, back.again);
  back.increment();
  assert.equal(back.shared.count, 1);
  assert.equal(back.recurse(5), 5);
  assert.equal(back.viaSelf(), back);
});

test('own properties of functions cross', () => {
  const fn = Object.assign((x: number) => x + 1, { label: 'plus one', nested: { a: [1] } });
  const back = cross(fn);
  assert.equal(back(1), 2);
  assert.equal(back.label, 'plus one');
  assert.deepEqual(back.nested, { a: [1] });
});
