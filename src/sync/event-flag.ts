import type { WaitOptions } from '../wait/options.js';
import { timeoutOf } from '../wait/options.js';
import type { Parked } from '../wait/parking.js';
import { Cell } from './cell.js';
import { type NamedOptions, openCell } from './naming.js';
import { registerShared, SharedObject } from './shared-object.js';

const BYTES = 64;
const CLOSED = 2;

/** The word: lowest bit, whether it is set; the rest counts how often it was, so that whoever waits, or wakes, can tell. */
const SET = 1;

/**
 * A flag that any number wait for. (Named apart from the DOM's Event.)
 *
 * set() lets all go on who wait then, even if clear() follows at once. Python: `multiprocessing.Event`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { EventFlag, Process } from 'manyhands';
 *
 * using go = new EventFlag();
 * const run = async () => {
 *   await go.wait();
 *   return 'off';
 * };
 * const runners = ['Ann', 'Bob'].map(name => new Process({ name, target: run }).start());
 * go.set(); // both begin
 * assert.deepEqual(await Promise.all(runners.map(runner => runner.result())), ['off', 'off']);
 * ```
 */
export class EventFlag extends SharedObject {
  /**
   * A new flag that is not set, or with `{ name }` the one of that name if there is one.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(options?: NamedOptions);
  constructor(options: NamedOptions | Cell = {}) {
    super(options instanceof Cell ? options : openCell('EventFlag', options, { bytes: BYTES }));
  }

  /** Is it set? Stale once read. */
  isSet(): boolean {
    this.check();
    return (this.#load() & SET) !== 0;
  }

  protected override facts(): object {
    return { isSet: this.isSet() };
  }

  /** Sets it, and lets all go on that wait. */
  set(): void {
    this.check();
    const { words, at, home } = this.cell;
    for (let seen = this.#load(); (seen & SET) === 0; seen = this.#load()) {
      const now = ((seen & ~SET) + 2) | SET;
      if (Atomics.compareExchange(words, at, seen, now) !== seen) continue;
      home.wake(at, Number.POSITIVE_INFINITY, {
        passOn: false, // all that it concerns are woken
        // Who came after a clear() that overtook us waits for the next one.
        choose: ({ note: [before] }) => ((now - before) | 0) > SET,
      });
      return;
    }
  }

  /** Unsets it: who waits from now on waits for the next set(). */
  clear(): void {
    this.check();
    Atomics.and(this.cell.words, this.cell.at, ~SET);
  }

  /** Waits until it is set. True: it was; false: the time ran out first. @throws {ClosedError} It was disposed of. */
  async wait({ timeout, signal }: WaitOptions = {}): Promise<boolean> {
    const limit = timeoutOf(timeout === undefined ? undefined : { timeout });
    signal?.throwIfAborted();
    this.check();
    const seen = this.#load();
    if ((seen & SET) !== 0) return true;
    const parked = await this.cell.home.park(this.cell.at, seen, {
      ...this.#parking(seen),
      timeout: limit,
      ...(signal ? { signal } : {}),
    });
    return this.#wasSet(parked);
  }

  /** {@link wait | wait()}, blocking this thread. */
  waitSync(options?: { timeout?: number }): boolean {
    const timeout = timeoutOf(options);
    this.check();
    const seen = this.#load();
    if ((seen & SET) !== 0) return true;
    return this.#wasSet(this.cell.home.parkSync(this.cell.at, seen, { ...this.#parking(seen), timeout }));
  }

  protected override farewell(): void {
    const { words, at, home } = this.cell;
    Atomics.add(words, at, 2); // who is about to wait looks again
    home.wake(at, Number.POSITIVE_INFINITY, { token: CLOSED, passOn: false });
  }

  #parking(seen: number): { note: readonly number[]; recheck: () => boolean } {
    return { note: [seen], recheck: () => this.#load() === seen && this.cell.isThere };
  }

  #wasSet({ outcome, token }: Parked): boolean {
    if (outcome === 'timeout') return false;
    // 'changed': while it is not set, only set() changes the word, and disposal.
    if (outcome === 'woken' ? token === CLOSED : !this.cell.isThere) throw this.closed();
    return true;
  }

  #load(): number {
    return Atomics.load(this.cell.words, this.cell.at);
  }
}

registerShared('EventFlag', EventFlag, { open: name => new EventFlag({ name }) });
