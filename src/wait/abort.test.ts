import assert from 'node:assert/strict';
import { getEventListeners, once } from 'node:events';
import { test } from 'node:test';
import { collect } from '../testing/collect.js';
import { leavesNothing } from '../testing/leaks.js';
import { type Abortable, unwatchAbort, watchAbort } from './abort.js';

leavesNothing();

const LIMIT = { timeout: 10_000 };

/** Writes down what it is told, and by its name that it was. */
class Listener implements Abortable {
  readonly heard: unknown[] = [];
  readonly #name: string;
  readonly #log: string[];
  readonly #then: () => void;

  constructor(name: string, log: string[] = [], then: () => void = () => {}) {
    this.#name = name;
    this.#log = log;
    this.#then = then;
  }

  abort(reason: unknown): void {
    this.heard.push(reason);
    this.#log.push(this.#name);
    this.#then();
  }
}

/** How many listeners a signal has. */
const count = (signal: AbortSignal) => getEventListeners(signal, 'abort').length;

test('a signal has one listener, however many are told, and none once they have gone', LIMIT, () => {
  const { signal } = new AbortController();
  const listeners = Array.from({ length: 1_000 }, (_, i) => new Listener(`${i}`));
  for (const listener of listeners) {
    watchAbort(signal, listener);
    assert.equal(count(signal), 1);
  }
  for (const listener of listeners.reverse()) {
    assert.equal(count(signal), 1);
    unwatchAbort(signal, listener);
  }
  assert.equal(count(signal), 0);
  watchAbort(signal, listeners[0]);
  assert.equal(count(signal), 1, 'and they may come again');
  unwatchAbort(signal, listeners[0]);
  assert.equal(count(signal), 0);
});

for (const number of [1, 2, 100]) {
  test(`${number} of them are told once, in order, with the reason as it is`, LIMIT, () => {
    const controller = new AbortController();
    const { signal } = controller;
    const log: string[] = [];
    const listeners = Array.from({ length: number }, (_, i) => new Listener(`${i}`, log));
    for (const listener of listeners) {
      watchAbort(signal, listener);
      watchAbort(signal, listener);
    }
    const reason = { why: 'enough' };
    controller.abort(reason);
    controller.abort('again');
    assert.deepEqual(log, [...listeners.keys()].map(String));
    for (const { heard } of listeners) {
      assert.equal(heard.length, 1);
      assert.equal(heard[0], reason);
    }
    assert.equal(count(signal), 0);
    for (const listener of listeners) unwatchAbort(signal, listener); // it is late, and does nothing
  });
}

test('who has gone is not told, and the order of the others stays', LIMIT, () => {
  const controller = new AbortController();
  const { signal } = controller;
  const log: string[] = [];
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map(name => new Listener(name, log));
  for (const one of [a, b, c, d]) watchAbort(signal, one);
  unwatchAbort(signal, b);
  unwatchAbort(signal, b);
  unwatchAbort(signal, a);
  watchAbort(signal, a);
  unwatchAbort(new AbortController().signal, c);
  controller.abort();
  assert.deepEqual(log, ['c', 'd', 'a']);
});

test('one that is told may end others, itself, and let new ones come', LIMIT, () => {
  const controller = new AbortController();
  const { signal } = controller;
  const log: string[] = [];
  const late = new Listener('late', log);
  const ended = new Listener('ended', log);
  const first: Listener = new Listener('first', log, () => {
    unwatchAbort(signal, first);
    unwatchAbort(signal, ended);
    watchAbort(signal, late);
    assert.equal(signal.aborted, true, 'which is why the new one is told no more');
  });
  const last = new Listener('last', log);
  for (const one of [first, ended, last]) watchAbort(signal, one);
  controller.abort();
  assert.deepEqual(log, ['first', 'last']);
  assert.equal(count(signal), 0);
});

test('waits that all end as the first is told are told no more', LIMIT, () => {
  const controller = new AbortController();
  const { signal } = controller;
  const log: string[] = [];
  const others = ['b', 'c'].map(name => new Listener(name, log));
  const first: Listener = new Listener('a', log, () => {
    for (const one of [first, ...others]) unwatchAbort(signal, one);
    assert.equal(count(signal), 0);
  });
  for (const one of [first, ...others]) watchAbort(signal, one);
  controller.abort();
  assert.deepEqual(log, ['a']);
});

test('who never came cannot take the place of the one that is there', LIMIT, () => {
  const controller = new AbortController();
  const listener = new Listener('there');
  watchAbort(controller.signal, listener);
  unwatchAbort(controller.signal, new Listener('never came'));
  controller.abort(1);
  assert.deepEqual(listener.heard, [1]);
});

test('one may be told by several signals, and each counts for itself', LIMIT, () => {
  const [one, other] = [new AbortController(), new AbortController()];
  const listener = new Listener('both');
  watchAbort(one.signal, listener);
  watchAbort(other.signal, listener);
  unwatchAbort(one.signal, listener);
  assert.deepEqual([count(one.signal), count(other.signal)], [0, 1]);
  one.abort(1);
  other.abort(2);
  assert.deepEqual(listener.heard, [2]);
});

test('what one throws is an uncaught exception, and the others are told', LIMIT, async () => {
  const controller = new AbortController();
  const log: string[] = [];
  const error = new Error('a listener that fails');
  const failing = new Listener('failing', log, () => {
    throw error;
  });
  const listeners = [new Listener('before', log), failing, new Listener('after', log)];
  for (const listener of listeners) watchAbort(controller.signal, listener);
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException'); // the test runner's
  try {
    const uncaught = once(process, 'uncaughtException');
    controller.abort();
    assert.deepEqual(log, ['before', 'failing', 'after']);
    assert.equal((await uncaught)[0], error);
  } finally {
    for (const listener of others) process.on('uncaughtException', listener);
  }
  assert.equal(count(controller.signal), 0);
});

test('a signal made of others has one listener, too', LIMIT, () => {
  const controller = new AbortController();
  const signal = AbortSignal.any([controller.signal, new AbortController().signal]);
  const listeners = Array.from({ length: 20 }, (_, i) => new Listener(`${i}`));
  for (const listener of listeners) watchAbort(signal, listener);
  assert.equal(count(signal), 1);
  controller.abort('all');
  for (const { heard } of listeners) assert.deepEqual(heard, ['all']);
  assert.equal(count(signal), 0);
});

test('signals that only their listeners know tell them: of a timeout, and made of one', LIMIT, async () => {
  const heard = (signal: AbortSignal) =>
    new Promise(resolve => watchAbort(signal, { abort: reason => resolve(reason) }));
  const alive = setInterval(() => {}, 1e6); // the timer of such a signal does not keep the program running
  const source = AbortSignal.timeout(50); // to be kept by whoever makes another of it
  const waits = [heard(AbortSignal.timeout(50)), heard(AbortSignal.any([source]))];
  await collect();
  for (const reason of await Promise.all(waits)) assert.equal((reason as Error).name, 'TimeoutError');
  assert.equal(source.aborted, true);
  clearInterval(alive);
});

test('who nobody knows any more goes with the signal, and before it if it has left', LIMIT, async () => {
  const { signal } = new AbortController();
  const make = () => {
    const left = new Listener('left');
    const forgotten = new Listener('forgotten');
    const { signal: other } = new AbortController();
    watchAbort(signal, left);
    watchAbort(signal, stays);
    unwatchAbort(signal, left);
    watchAbort(other, forgotten);
    return [left, forgotten, other].map(object => new WeakRef<object>(object));
  };
  const stays = new Listener('stays');
  const references = make();
  for (let i = 0; i < 20 && references.some(reference => reference.deref()); i++) await collect();
  assert.deepEqual(
    references.map(reference => reference.deref()),
    [undefined, undefined, undefined],
  );
  unwatchAbort(signal, stays);
});

test('signals that are not of this realm serve, with whatever they have', LIMIT, () => {
  /** As of a library, or of a window that is simulated: an event target of its own. */
  class Foreign {
    aborted = false;
    reason: unknown;
    readonly #listeners: ((event: { type: string }) => void)[] = [];
    get size(): number {
      return this.#listeners.length;
    }
    addEventListener(type: string, listener: () => void): void {
      assert.equal(type, 'abort');
      this.#listeners.push(listener);
    }
    removeEventListener(_: string, listener: () => void): void {
      this.#listeners.splice(this.#listeners.indexOf(listener), 1);
    }
    abort(reason: unknown): void {
      Object.assign(this, { aborted: true, reason });
      for (const listener of [...this.#listeners]) listener.call(undefined as never, { type: 'abort' });
    }
  }
  const foreign = new Foreign();
  const signal = foreign as unknown as AbortSignal;
  const listeners = [new Listener('a'), new Listener('b')];
  for (const listener of listeners) watchAbort(signal, listener);
  assert.equal(foreign.size, 1);
  foreign.abort('far away');
  for (const { heard } of listeners) assert.deepEqual(heard, ['far away']);
  assert.equal(foreign.size, 0);
});
