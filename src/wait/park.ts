import { availableParallelism } from 'node:os';
import { words } from '../memory/commons.js';
import { REASON } from '../memory/layout.js';
import { atDeadline } from './deadlines.js';
import { forgetDeaths, watchDeaths } from './deaths.js';
import { blockUntil, hold, onRing, unhold } from './doorbell.js';
import { enter, isWaiting, type Note, take, wake, withdraw } from './line.js';
import { forgetNodes, NODE, takeFlagged } from './nodes.js';
import { timeoutOf, type WaitOptions } from './options.js';

/*
 * Waiting on a word of the commons, in blocking and async form. Both stand in one line, in order of arrival.
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

export interface ParkSyncOptions {
  /** Give up after this many milliseconds. Absent: wait for ever. 0: do not wait. */
  timeout?: number;
  /**
   * Runs once this wait is in line, as `node`, before it sleeps: gives up what others need, such as a condition's lock.
   */
  queued?: (node: number) => void;
  /** What it waits for, for wakers that choose(). */
  note?: Note;
  /** Enters the line at its head: for one that was woken, and found that another had been quicker. */
  first?: boolean;
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
  /** Does it keep the event loop alive? Default true. */
  ref?: boolean;
}

const CHANGED: Parked = { outcome: 'changed', token: 0 };
const TIMED_OUT: Parked = { outcome: 'timeout', token: 0 };

/** Looks before sleeping: sleep and wake-up cost as much as a thousand of them. On one processor nobody could act meanwhile. */
const SPINS = availableParallelism() > 1 ? 200 : 0;

/** The async waits of this thread, by node. */
const waits = new Map<number, Wait>();
let listening = false;
/** Counts rings for deaths. */
let alarms = 0;

/**
 * Waits on the word with index `word`, unless it does not hold `expected`, until wake() is called for it. Between the
 * look at the word and the wait no wake is lost. In line, in order of arrival, by the time the call returns.
 *
 * Giving up races with being woken: a wake that came first counts, also when time has run out or `signal` was aborted
 * since. Otherwise the wait rejects with `signal.reason`; one that gave up never costs another a wake.
 */
export function park(word: number, expected: number, options: ParkOptions = {}): Promise<Parked> {
  return new Promise((resolve, reject) => {
    const timeout = timeoutOf(options);
    options.signal?.throwIfAborted();
    if (Atomics.load(words, word) !== expected) return resolve(CHANGED);
    if (timeout === 0) return resolve(TIMED_OUT);
    listen();
    const node = enter(word, expected, options);
    if (node === 0) return resolve(CHANGED);
    const wait = new Wait(node, expected, performance.now() + timeout, options, resolve, reject);
    try {
      options.queued?.(node, reason => wait.fail(reason));
    } catch (error) {
      wait.fail(error);
    }
  });
}

/** The same, blocking this thread. Its async waits stay in line meanwhile, and hear of their wakes afterwards. */
export function parkSync(word: number, expected: number, options: ParkSyncOptions = {}): Parked {
  const timeout = timeoutOf(options);
  if (Atomics.load(words, word) !== expected) return CHANGED;
  if (timeout === 0) return TIMED_OUT;
  for (let i = 0; i < SPINS; i++) if (Atomics.load(words, word) !== expected) return CHANGED;
  listen();
  const node = enter(word, expected, options);
  if (node === 0) return CHANGED;
  try {
    options.queued?.(node);
  } catch (error) {
    if (!withdraw(node)) wake(words[node + NODE.WORD], 1, { token: take(node) });
    throw error;
  }
  for (let i = 0; i < SPINS && isWaiting(node); i++);
  let seen = alarms;
  const isOver = () => {
    if (!isWaiting(node)) return true;
    if (seen === alarms) return false;
    seen = alarms;
    return !isWorthwhile(node, expected, options.recheck);
  };
  let ended = false;
  let failure: { readonly error: unknown } | undefined;
  try {
    ended = !isWaiting(node) || block(isOver, timeout, options.looks);
  } catch (error) {
    failure = { error };
  }
  if (!withdraw(node)) return { outcome: 'woken', token: take(node) };
  if (failure) throw failure.error;
  return ended ? CHANGED : TIMED_OUT;
}

function block(isOver: () => boolean, timeout: number, looks: ParkSyncOptions['looks'] = []): boolean {
  let passed = 0;
  for (const { after, look } of looks) {
    if (after >= timeout) break;
    if (blockUntil(isOver, after - passed)) return true;
    look();
    passed = after;
  }
  return blockUntil(isOver, timeout - passed);
}

function isWorthwhile(node: number, expected: number, recheck?: () => boolean): boolean {
  return recheck ? recheck() : Atomics.load(words, words[node + NODE.WORD]) === expected;
}

/** An async wait that is in line. */
class Wait {
  readonly #node: number;
  readonly #expected: number;
  readonly #options: ParkOptions;
  readonly #resolve: (parked: Parked) => void;
  readonly #reject: (reason: unknown) => void;
  readonly #cancelTimer: (() => void) | undefined;
  readonly #abort: (() => void) | undefined;

  constructor(
    node: number,
    expected: number,
    deadline: number,
    options: ParkOptions,
    resolve: (parked: Parked) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#node = node;
    this.#expected = expected;
    this.#options = options;
    this.#resolve = resolve;
    this.#reject = reject;
    const { ref = true, signal } = options;
    waits.set(node, this);
    if (deadline !== Number.POSITIVE_INFINITY)
      this.#cancelTimer = atDeadline(deadline, () => this.#giveUp(TIMED_OUT), ref);
    if (signal) {
      this.#abort = () => this.fail(signal.reason);
      signal.addEventListener('abort', this.#abort, { once: true });
    }
    if (ref) hold();
  }

  /** Which of this thread's wakes has ended it. */
  get order(): number {
    return words[this.#node + NODE.ORDER];
  }

  /** Ends it if it was woken. */
  look(): void {
    if (isWaiting(this.#node)) return;
    this.forget();
    this.#resolve({ outcome: 'woken', token: take(this.#node) });
  }

  /** Ends it if, after a death, there is nothing left to wait for. */
  recheck(): void {
    if (!isWorthwhile(this.#node, this.#expected, this.#options.recheck)) this.#giveUp(CHANGED);
  }

  /** Ends it with an error, unless it was woken before. */
  fail(reason: unknown): void {
    this.#leave(() => this.#reject(reason));
  }

  #giveUp(parked: Parked): void {
    this.#leave(() => this.#resolve(parked));
  }

  #leave(end: () => void): void {
    if (withdraw(this.#node)) {
      this.forget();
      end();
    } else {
      this.look();
    }
  }

  /** Leaves nothing of it in this thread: no timer, no listener, no hold on the event loop. */
  forget(): void {
    waits.delete(this.#node);
    this.#cancelTimer?.();
    if (this.#abort) this.#options.signal?.removeEventListener('abort', this.#abort);
    if (this.#options.ref !== false) unhold();
  }
}

function listen(): void {
  if (listening) return;
  listening = true;
  onRing(REASON.WAKE, lookAtFlagged);
  watchDeaths(); // first, as what follows looks at what the sweep has changed
  onRing(REASON.DEATH, lookAtAll);
}

function lookAtFlagged(): void {
  const woken: Wait[] = [];
  for (const node of takeFlagged()) {
    const wait = waits.get(node); // none: a blocking wait's, or one that has seen its wake already
    if (wait && !isWaiting(node)) woken.push(wait);
  }
  lookInOrder(woken);
}

/** Somebody died, perhaps a waker between the wake and the ring, perhaps one that had changed a word and not yet woken. */
function lookAtAll(): void {
  alarms++;
  const woken: Wait[] = [];
  for (const [node, wait] of waits) if (!isWaiting(node)) woken.push(wait);
  lookInOrder(woken);
  for (const wait of [...waits.values()]) wait.recheck();
}

function lookInOrder(woken: Wait[]): void {
  if (woken.length > 1) woken.sort((a, b) => (a.order - b.order) | 0);
  for (const wait of woken) wait.look();
}

/**
 * In a forked child: the waits known here are the parent's. They never end; nothing of them stays.
 * To be called before forgetDoorbell().
 */
export function forgetWaits(): void {
  for (const wait of [...waits.values()]) wait.forget();
  forgetNodes();
  forgetDeaths();
  listening = false;
}
