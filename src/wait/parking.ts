import { availableParallelism } from 'node:os';
import { type Abortable, unwatchAbort, watchAbort } from './abort.js';
import { atDeadline } from './deadlines.js';
import { hold, unhold } from './doorbell.js';
import type { Entry, WakeOptions } from './line.js';
import { timeoutOf, type WaitOptions } from './options.js';

/*
 * The two forms of waiting, over any memory that has lines to wait in: time limits, signals, spinning, the event loop.
 *
 * Source of the idea: the parking lot of WebKit (F. Pizlo, "Locking in WebKit") and its descendant parking_lot of Rust;
 * here the queues lie in shared memory and survive the death of anyone at any step.
 */

/** How a wait ended, with the waker's token. */
export interface Parked {
  /**
   * woken: by wake(). changed: the word did not hold what was expected, or, after somebody's death, does not any more,
   * so look again. timeout: the time ran out.
   */
  readonly outcome: 'woken' | 'changed' | 'timeout';
  readonly token: number;
}

export interface ParkSyncOptions extends Entry {
  /** Give up after this many milliseconds. Absent: wait for ever. 0: do not wait. */
  timeout?: number;
  /**
   * Runs once this wait is in line, as `node`, before it sleeps: gives up what others need, such as a condition's lock.
   */
  queued?: (node: number) => void;
  /**
   * Asked after somebody's death: is there still something to wait for? False ends the wait as 'changed'.
   * Default: whether the word holds what was expected. For more than that, as whether a lock's owner lives. It must not
   * wait or throw.
   */
  recheck?: () => boolean;
  /** Calls each once the wait has lasted that many ms. What it throws ends the wait, unless it was woken before. */
  looks?: readonly { readonly after: number; readonly look: () => void }[];
}

export interface ParkOptions extends Omit<ParkSyncOptions, 'looks' | 'queued'>, WaitOptions {
  /** `fail` ends the wait with an error, unless it was woken before. */
  queued?: (node: number, fail: (reason: unknown) => void) => void;
  /** Hears the waker's token before the code that awaits it goes on, also while the thread blocks. */
  woken?: (token: number) => void;
  /** Does it keep the event loop alive? Default true. */
  ref?: boolean;
}

/** One that stands in line without a promise. */
export interface LineWatcher {
  /** Called once: when wake() has chosen it, when there is nothing to wait for any more, or when all waits were failed. */
  notify(): void;
  /** Asked after somebody's death: is there still something to wait for? It must not wait or throw. */
  isWorthwhile(): boolean;
}

export interface LineWatch {
  /** Leaves the line; a wake that has come meanwhile counts for nothing. */
  stop(): void;
}

/** The lines of one memory. A wait in line is known by its node, a number that is never 0. */
export interface Lines {
  readonly words: Int32Array;
  /** From now on this thread hears of its wakes: calls look(), lookAtAll(). */
  listen(how: 'blocking' | 'async'): void;
  /** Puts a wait in line. 0: the word does not hold `expected`. */
  enter(word: number, expected: number, options: Entry, blocking: boolean): number;
  isWaiting(node: number): boolean;
  /** Takes it out of line. False: it was woken, which counts. */
  withdraw(node: number): boolean;
  /** What its waker handed over; gives the node back. */
  take(node: number): number;
  /** Which of this thread's wakes has ended it. */
  orderOf(node: number): number;
  wake(word: number, count: number, options: WakeOptions): number;
  /** Blocks this thread until `isOver()`, asked anew after each wake and each death. False: time ran out. */
  block(node: number, isOver: () => boolean, timeout: number): boolean;
}

const CHANGED: Parked = { outcome: 'changed', token: 0 };
const TIMED_OUT: Parked = { outcome: 'timeout', token: 0 };

const NO_NOTE = {};

/** Looks before sleeping: sleep and wake-up cost as much as a thousand of them. On one processor nobody could act meanwhile. */
const SPINS = availableParallelism() > 1 ? 200 : 0;

/** The waits of this thread in the lines of one memory. */
export class Parking {
  readonly #lines: Lines;
  /** The async ones, by node. */
  readonly #waits = new Map<number, Standing>();
  /** Counts calls of lookAtAll(). */
  #alarms = 0;

  constructor(lines: Lines) {
    this.#lines = lines;
  }

  /** How many async waits there are. */
  get size(): number {
    return this.#waits.size;
  }

  /**
   * Waits on the word with index `word`, unless it does not hold `expected`, until wake() is called for it. Between the
   * look at the word and the wait no wake is lost. In line, in order of arrival, by the time the call returns.
   *
   * Giving up races with being woken: a wake that came first counts, also when time has run out or `signal` was aborted
   * since. Otherwise the wait rejects with `signal.reason`; one that gave up never costs another a wake.
   */
  park(word: number, expected: number, options: ParkOptions = {}): Promise<Parked> {
    return new Promise((resolve, reject) => {
      const lines = this.#lines;
      const timeout = timeoutOf(options);
      options.signal?.throwIfAborted();
      if (Atomics.load(lines.words, word) !== expected) return resolve(CHANGED);
      if (timeout === 0) return resolve(TIMED_OUT);
      lines.listen('async');
      const node = lines.enter(word, expected, options, false);
      if (node === 0) return resolve(CHANGED);
      const wait = new Wait(lines, this.#waits, {
        node,
        isWorthwhile: options.recheck ?? (() => Atomics.load(lines.words, word) === expected),
        deadline: performance.now() + timeout,
        options,
        resolve,
        reject,
      });
      try {
        options.queued?.(node, reason => wait.fail(reason));
      } catch (error) {
        wait.fail(error);
      }
    });
  }

  /** The same, blocking this thread. Its async waits stay in line meanwhile, and hear of their wakes afterwards. */
  parkSync(word: number, expected: number, options: ParkSyncOptions = {}): Parked {
    const lines = this.#lines;
    const timeout = timeoutOf(options);
    if (Atomics.load(lines.words, word) !== expected) return CHANGED;
    if (timeout === 0) return TIMED_OUT;
    for (let i = 0; i < SPINS; i++) if (Atomics.load(lines.words, word) !== expected) return CHANGED;
    lines.listen('blocking');
    const node = lines.enter(word, expected, options, true);
    if (node === 0) return CHANGED;
    try {
      options.queued?.(node);
    } catch (error) {
      if (!lines.withdraw(node)) lines.wake(word, 1, { token: lines.take(node) });
      throw error;
    }
    for (let i = 0; i < SPINS && lines.isWaiting(node); i++);
    let seen = this.#alarms;
    const isWorthwhile = options.recheck ?? (() => Atomics.load(lines.words, word) === expected);
    const isOver = () => {
      if (!lines.isWaiting(node)) return true;
      if (seen === this.#alarms) return false;
      seen = this.#alarms;
      return !isWorthwhile();
    };
    let ended = false;
    let failure: { readonly error: unknown } | undefined;
    try {
      ended = !lines.isWaiting(node) || this.#block(node, isOver, timeout, options.looks);
    } catch (error) {
      failure = { error };
    }
    if (!lines.withdraw(node)) return { outcome: 'woken', token: lines.take(node) };
    if (failure) throw failure.error;
    return ended ? CHANGED : TIMED_OUT;
  }

  /**
   * Stands in line at the word, for one who stands in very many lines, at words whose wakes are for all: no promise, and the event
   * loop is not kept alive. Undefined: the word does not hold `expected`.
   */
  watch(word: number, expected: number, watcher: LineWatcher): LineWatch | undefined {
    const lines = this.#lines;
    lines.listen('async');
    const node = lines.enter(word, expected, NO_NOTE, false);
    return node === 0 ? undefined : new Watch(lines, this.#waits, node, watcher);
  }

  #block(
    node: number,
    isOver: () => boolean,
    timeout: number,
    looks: ParkSyncOptions['looks'] = [],
  ): boolean {
    let passed = 0;
    for (const { after, look } of looks) {
      if (after >= timeout) break;
      if (this.#lines.block(node, isOver, after - passed)) return true;
      look();
      passed = after;
    }
    return this.#lines.block(node, isOver, timeout - passed);
  }

  /** Ends those of the waits `nodes` that were woken, in the order in which they were. Default: of all. */
  look(nodes: Iterable<number> = this.#waits.keys()): void {
    const woken: Standing[] = [];
    for (const node of nodes) {
      const wait = this.#waits.get(node); // none: a blocking wait's, or one that has seen its wake already
      if (wait && !this.#lines.isWaiting(node)) woken.push(wait);
    }
    if (woken.length > 1) woken.sort((a, b) => (a.order - b.order) | 0);
    for (const wait of woken) wait.look();
  }

  /** Somebody died, perhaps a waker between the wake and the ring, perhaps one that had changed a word and not yet woken. */
  lookAtAll(): void {
    this.#alarms++;
    this.look();
    for (const wait of [...this.#waits.values()]) wait.recheck();
  }

  /** Ends all async waits with an error. */
  fail(reason: unknown): void {
    for (const wait of [...this.#waits.values()]) wait.fail(reason);
  }

  /** The waits known here never end, and nothing of them stays. To be called before forgetDoorbell(). */
  forget(): void {
    for (const wait of [...this.#waits.values()]) wait.forget();
  }
}

/** What this thread has in a line. */
interface Standing {
  /** Which of this thread's wakes has ended it. */
  readonly order: number;
  /** Ends it if it was woken. */
  look(): void;
  /** Ends it if, after a death, there is nothing left to wait for. */
  recheck(): void;
  /** Ends it with an error, unless it was woken before. */
  fail(reason: unknown): void;
  /** Leaves nothing of it in this thread: no timer, no listener, no hold on the event loop. */
  forget(): void;
}

interface Terms {
  readonly node: number;
  readonly isWorthwhile: () => boolean;
  readonly deadline: number;
  readonly options: ParkOptions;
  readonly resolve: (parked: Parked) => void;
  readonly reject: (reason: unknown) => void;
}

/** An async wait that is in line. */
class Wait implements Standing, Abortable {
  readonly #lines: Lines;
  readonly #all: Map<number, Standing>;
  readonly #terms: Terms;
  readonly #cancelTimer: (() => void) | undefined;

  constructor(lines: Lines, all: Map<number, Standing>, terms: Terms) {
    this.#lines = lines;
    this.#all = all;
    this.#terms = terms;
    const { node, deadline, options } = terms;
    const { ref = true, signal } = options;
    all.set(node, this);
    if (deadline !== Number.POSITIVE_INFINITY)
      this.#cancelTimer = atDeadline(deadline, () => this.#leave(() => terms.resolve(TIMED_OUT)), ref);
    if (signal) watchAbort(signal, this);
    if (ref) hold();
  }

  get order(): number {
    return this.#lines.orderOf(this.#terms.node);
  }

  look(): void {
    if (this.#lines.isWaiting(this.#terms.node)) return;
    this.forget();
    const token = this.#lines.take(this.#terms.node);
    this.#terms.options.woken?.(token);
    this.#terms.resolve({ outcome: 'woken', token });
  }

  recheck(): void {
    if (!this.#terms.isWorthwhile()) this.#leave(() => this.#terms.resolve(CHANGED));
  }

  fail(reason: unknown): void {
    this.#leave(() => this.#terms.reject(reason));
  }

  abort(reason: unknown): void {
    this.fail(reason);
  }

  #leave(end: () => void): void {
    if (this.#all.get(this.#terms.node) !== this) return; // it has ended
    if (this.#lines.withdraw(this.#terms.node)) {
      this.forget();
      end();
    } else {
      this.look();
    }
  }

  forget(): void {
    this.#all.delete(this.#terms.node);
    this.#cancelTimer?.();
    const { ref = true, signal } = this.#terms.options;
    if (signal) unwatchAbort(signal, this);
    if (ref) unhold();
  }
}

/** A watch that is in line. */
class Watch implements Standing, LineWatch {
  readonly #lines: Lines;
  readonly #all: Map<number, Standing>;
  readonly #node: number;
  readonly #watcher: LineWatcher;

  constructor(lines: Lines, all: Map<number, Standing>, node: number, watcher: LineWatcher) {
    this.#lines = lines;
    this.#all = all;
    this.#node = node;
    this.#watcher = watcher;
    all.set(node, this);
  }

  get order(): number {
    return this.#lines.orderOf(this.#node);
  }

  look(): void {
    if (!this.#lines.isWaiting(this.#node)) this.fail();
  }

  recheck(): void {
    if (!this.#watcher.isWorthwhile()) this.fail();
  }

  fail(): void {
    if (this.stop()) this.#watcher.notify();
  }

  /** False: it was over before. */
  stop(): boolean {
    if (this.#all.get(this.#node) !== this) return false;
    this.forget();
    if (!this.#lines.withdraw(this.#node)) this.#lines.take(this.#node);
    return true;
  }

  forget(): void {
    this.#all.delete(this.#node);
  }
}
