import type { WaitOptions } from '../wait/options.js';
import { timeoutOf } from '../wait/options.js';
import { Cell } from './cell.js';
import { type NamedOptions, openCell } from './naming.js';
import { registerShared, SharedObject } from './shared-object.js';

const BYTES = 64;
const CLOSED = 2;

/** The word: lowest bit, whether it is set; the rest counts how often it was, so that whoever waits can tell. */
const SET = 1;

/**
 * A flag that any number wait for. (Named apart from the DOM's Event.)
 *
 * set() lets all go on who wait then, even if clear() follows at once. Python: `multiprocessing.Event`.
 */
export class EventFlag extends SharedObject {
  constructor(options?: NamedOptions);
  constructor(options: NamedOptions | Cell = {}) {
    super(options instanceof Cell ? options : openCell('EventFlag', options, { bytes: BYTES }));
  }

  /** Stale once read. */
  isSet(): boolean {
    this.check();
    return (this.#load() & SET) !== 0;
  }

  /** Sets it, and lets all go on that wait. */
  set(): void {
    this.check();
    const { words, at, home } = this.cell;
    for (let seen = this.#load(); (seen & SET) === 0; seen = this.#load()) {
      if (Atomics.compareExchange(words, at, seen, (seen + 2) | SET) !== seen) continue;
      home.wake(at, Number.POSITIVE_INFINITY);
      return;
    }
  }

  clear(): void {
    this.check();
    Atomics.and(this.cell.words, this.cell.at, ~SET);
  }

  /** Waits until it is set. True: it was; false: the time ran out first. @throws {ClosedError} It was disposed of. */
  async wait(options: WaitOptions = {}): Promise<boolean> {
    const timeout = timeoutOf(options);
    options.signal?.throwIfAborted();
    this.check();
    const seen = this.#load();
    if ((seen & SET) !== 0) return true;
    const { outcome, token } = await this.cell.home.park(this.cell.at, seen, { ...options, timeout });
    if (outcome === 'woken' && token === CLOSED) throw this.closed();
    return outcome !== 'timeout'; // 'changed': while it is not set, only set() changes the word
  }

  /** The same, blocking this thread. */
  waitSync(options?: { timeout?: number }): boolean {
    const timeout = timeoutOf(options);
    this.check();
    const seen = this.#load();
    if ((seen & SET) !== 0) return true;
    const { outcome, token } = this.cell.home.parkSync(this.cell.at, seen, { timeout });
    if (outcome === 'woken' && token === CLOSED) throw this.closed();
    return outcome !== 'timeout';
  }

  /** Frees it, for all who have it; who waits is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere) return;
    if (this.cell.shared === undefined)
      this.cell.home.wake(this.cell.at, Number.POSITIVE_INFINITY, { token: CLOSED });
    super[Symbol.dispose]();
  }

  #load(): number {
    return Atomics.load(this.cell.words, this.cell.at);
  }
}

registerShared('EventFlag', EventFlag, { open: name => new EventFlag({ name }) });
