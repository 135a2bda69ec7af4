import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decode } from './decode.js';
import { encode } from './encode.js';
import { registerHandle, registerRefusal } from './handles.js';
import { Failure } from './path.js';

/** As the library's own: a number that both sides can use, kept private. */
class Latch {
  readonly #word: number;
  constructor(word: number) {
    this.#word = word;
  }
  get word(): number {
    return this.#word;
  }
}
class Unregistered extends Latch {}

registerHandle(
  'latch',
  Latch,
  latch => latch.word,
  (word: number) => new Latch(word),
);

test('a handle crosses as what it stands for, and stays one object within a message', () => {
  const latch = new Latch(1234);
  const back = decode(encode({ latch, list: [latch, new Latch(5)] })) as { latch: Latch; list: Latch[] };
  assert.ok(back.latch instanceof Latch);
  assert.equal(back.latch.word, 1234);
  assert.equal(back.list[0], back.latch);
  assert.equal(back.list[1].word, 5);
});

test('what goes to other programs has no handle that only this program can reach', () => {
  class Beacon {
    constructor(readonly isSeen: boolean) {}
  }
  registerHandle(
    'beacon',
    Beacon,
    beacon => beacon.isSeen,
    (isSeen: boolean) => new Beacon(isSeen),
    beacon => beacon.isSeen,
  );
  const seen = new Beacon(true);
  assert.deepEqual(decode(encode({ seen }, { abroad: true })), { seen });
  const hidden = new Beacon(false);
  assert.deepEqual(decode(encode({ hidden })), { hidden });
  for (const [value, path] of [
    [{ deep: [hidden] }, 'value.deep[0]'],
    [() => hidden.isSeen, 'closure of a function → hidden'],
    [new Latch(1), 'value'],
  ])
    assert.throws(() => encode(value, { abroad: true }), {
      name: 'SerializationError',
      path,
      message: /lies in the memory of this program/,
    });
  assert.deepEqual(decode(encode({ hidden })), { hidden }, 'it concerns that message only');
});

test('a closure may capture a handle', () => {
  const latch = new Latch(7);
  const back = decode(encode(() => latch.word)) as () => number;
  assert.equal(back(), 7);
});

test('a subclass without a registration of its own is refused', () => {
  assert.throws(() => encode(new Unregistered(1)), { name: 'SerializationError' });
});

test('an id or class is registered once', () => {
  assert.throws(
    () =>
      registerHandle(
        'latch',
        Unregistered,
        () => 0,
        () => new Unregistered(0),
      ),
    RangeError,
  );
  assert.throws(
    () =>
      registerHandle(
        'other',
        Latch,
        () => 0,
        () => new Latch(0),
      ),
    RangeError,
  );
});

test('a handle unknown to the other side is refused', () => {
  const bytes = encode(new Latch(1));
  bytes[bytes.indexOf('l'.charCodeAt(0))] = 'm'.charCodeAt(0);
  assert.throws(() => decode(bytes), {
    name: 'SerializationError',
    message: /"match" as it is not registered/,
  });
});

test('what can never cross is refused with its own reason, and so are objects of classes that extend it', () => {
  class Kitchen {
    readonly #cook = 'here';
    get cook(): string {
      return this.#cook;
    }
  }
  class Bakery extends Kitchen {}
  registerRefusal(Kitchen, name => new Failure(`this ${name} stays here`, 'order from it'));
  for (const [value, message] of [
    [new Kitchen(), 'Cannot send value as this Kitchen stays here: order from it'],
    [{ at: [new Bakery()] }, 'Cannot send value.at[0] as this Bakery stays here: order from it'],
  ] as const)
    for (const _ of ['the first time', 'any other time'])
      assert.throws(() => encode(value), { name: 'SerializationError', message });
});
