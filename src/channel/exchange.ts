import { availableParallelism } from 'node:os';
import { OutOfMemoryError } from '../errors/errors.js';
import { holderIn } from '../memory/robust-lock.js';
import type { Cell } from '../sync/cell.js';
import { onDepart } from '../wait/depart.js';
import { hear } from '../wait/doorbell.js';
import { isLater } from '../wait/line.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { LineWatch, LineWatcher } from '../wait/parking.js';
import type { Batch } from './batch.js';
import type { Parcel } from './parcel.js';
import { lengthAt } from './record.js';
import type { Space } from './space.js';
import type { Store } from './store.js';
import type { Watch, Watcher } from './waitable.js';

/*
 * Where those who put and those who get meet: a store of items under a lock, and two lines of waiters.
 *
 * PUTS counts what came in, and those who find nothing wait at it; TAKES counts what went out, and those who find no room wait
 * at it. Each item calls the one that has waited longest for one, each gap too. Who is called competes with those who come
 * running; if it comes too late it waits again, now first in line. One that this has gone on with for too long writes its thread
 * into TURN, and newcomers stand behind it from then on, also if there is something for them: so nobody starves. Not at once, as
 * then all would go at the pace at which sleepers are woken (Go's sync.Mutex does the same for the same reason).
 * Whoever has been called calls the next, if there is something left for it.
 *
 * Death: the lock's next holder has the store recover, and counts anew. What a dead one was called for is passed on, and all who
 * wait look again. TURN of a dead thread counts for nothing.
 */
export const EXCHANGE = {
  LOCK: 0,
  PUTS: 1,
  TAKES: 2,
  /** One of STATE. */
  STATE: 3,
  /** Items in the store. */
  COUNT: 4,
  /** Most items; 0: as many as there is memory for. */
  BOUND: 5,
  /** Most memory, in KiB. One item is let in however large it is. */
  LIMIT: 6,
  GET_TURN: 7,
  PUT_TURN: 8,
  /** Never changes: those wait there who want to know that there is something to get, and do not get it. */
  WATCH: 9,
  /** 1: an item that was in it may have held the end of a pipe open (tickets.ts). */
  CARRIER: 10,
  /** How many have begun to wait: says who came first. */
  ARRIVALS: 11,
  WORDS: 12,
} as const;

export const STATE = {
  OPEN: 0,
  /** Nothing comes in any more. */
  DRAINING: 1,
  /** And all that was in it was dropped. */
  SHUT: 2,
} as const;

/** What an attempt came to. */
export const OUTCOME = {
  DONE: 0,
  /** Nothing to get, or no room. */
  NOT_NOW: 1,
  /** There will never be. */
  NEVER: 2,
  /** The channel has been disposed of. */
  GONE: 3,
  /** The next item is not of the kind that was asked for: `raw` and `length` of the parcel tell. */
  REFUSED: 4,
} as const;
export type Outcome = (typeof OUTCOME)[keyof typeof OUTCOME];
const { DONE, NOT_NOW, NEVER, GONE, REFUSED } = OUTCOME;

/** Looks at the word before a thread goes to sleep: sleeping and being woken cost as much as thousands of them. */
const MOST_SPINS = availableParallelism() > 1 ? 3_000 : 0;
const LEAST_SPINS = MOST_SPINS / 64;
/**
 * Where few looks were in vain, one wait of so many looks often after all, as the other may have got a processor of its own; while
 * that is in vain too, one of twice as many.
 */
const TRY_AGAIN = 4;
const TRY_AGAIN_AT_LEAST = 256;
/** How often one looks again before it stands in line: others may be quicker each time. */
const ROUNDS = 4;
/** Items of a batch that go in without asking anew how much memory is left. */
const AT_ONCE = 64;

/** Tries to get, or to put. `called`: on behalf of one who was called, whom no other's turn holds up. */
type Attempt = (called: boolean) => Outcome;

/** Those who get or those who put. */
interface Side {
  /** Ends async waits of this thread. */
  readonly waits: Set<(reason: unknown) => void>;
  /** Those of them that were called and have not gone on, or back into line, since. */
  readonly called: Set<Wait>;
  /** What they wait at. */
  readonly word: number;
  readonly turn: number;
  /** How often to look before sleeping: falls as long as that is in vain. */
  spins: number;
  /** How many waits from now, and from then, it is to look often in any case. */
  untilTrial: number;
  interval: number;
  /** How often all waits of this thread were failed, and how they were the last time. */
  failures: number;
  reason: () => unknown;
}

function sideOf(word: number, turn: number): Side {
  return {
    word,
    turn,
    waits: new Set(),
    called: new Set(),
    spins: LEAST_SPINS,
    untilTrial: TRY_AGAIN,
    interval: TRY_AGAIN,
    failures: 0,
    reason: () => undefined,
  };
}

/** One that waits. */
interface Wait {
  readonly side: Side;
  readonly attempt: Attempt;
  began: number;
  /** Says who came first among the async waits; undefined: it has not been in line yet, or blocks. */
  arrival: number | undefined;
  called: boolean;
  /** Is TURN its? Async waits have it only while they are in line: this thread may block before their code goes on. */
  hasTurn: boolean;
}

/** Ends a wait that has come into line when the exchange was gone. */
const DISPOSED = Symbol('disposed');

/** How many waits of this thread have TURN, of whatever exchange. */
let turns = 0;

// Those whom its turn holds up must learn of it if this thread leaves in order.
onDepart(() => turns > 0);

/** How long others may be quicker than one that is called again and again, ms. */
const PATIENCE = 100;

/** What else is to be done with each item, under the lock, and what ends a side for good. */
export interface Terms {
  /**
   * Before items are taken, which this may refuse by throwing; after so many were; and when whoever had the lock has died: `missing`
   * have left uncounted.
   */
  readonly ledger?: { begin(): void; end(count: number): void; recover(missing: number): void };
  /** How long one who is called may be overtaken, ms. Default 100. */
  readonly patience?: number;
  /** Are all gone that could put, or take? Asked before a wait, and after each death. */
  readonly noMorePuts?: () => boolean;
  readonly noMoreTakes?: () => boolean;
}

export class Exchange {
  readonly #cell: Cell;
  readonly #at: number;
  readonly #words: Int32Array;
  readonly #terms: Terms;
  readonly #getting: Side;
  readonly #putting: Side;
  /** Who watches, in this thread. */
  readonly #watches = new Set<ReadWatch>();

  constructor(
    cell: Cell,
    at: number,
    readonly space: Space,
    readonly store: Store,
    terms: Terms = {},
  ) {
    this.#cell = cell;
    this.#at = at;
    this.#words = cell.words;
    this.#terms = terms;
    this.#getting = sideOf(at + EXCHANGE.PUTS, at + EXCHANGE.GET_TURN);
    this.#putting = sideOf(at + EXCHANGE.TAKES, at + EXCHANGE.PUT_TURN);
  }

  /** Sets up the words of a new one. `limit`: bytes. */
  static prepare(words: Int32Array, at: number, bound: number, limit: number): void {
    words[at + EXCHANGE.BOUND] = bound;
    words[at + EXCHANGE.LIMIT] = Math.min(2 ** 31 - 1, Math.ceil(limit / 1024));
  }

  /** How many items are in it at this instant. */
  get count(): number {
    if (this.#isAbandoned()) {
      this.lock();
      this.unlock();
    }
    return Atomics.load(this.#words, this.#at + EXCHANGE.COUNT);
  }

  /** Most items; 0: no such limit. */
  get bound(): number {
    return this.#words[this.#at + EXCHANGE.BOUND];
  }

  get state(): number {
    return Atomics.load(this.#words, this.#at + EXCHANGE.STATE);
  }

  /**
   * Takes the next item out, if there is one. `called`: by one who waited for it. `most`: only if it is bytes as they are, no more
   * than so many. @throws What the ledger throws.
   */
  take(parcel: Parcel, called: boolean, most = -1): Outcome {
    return this.#takeUpTo(1, undefined, parcel, called, most);
  }

  /** The same for up to `most` items. */
  takeMany(batch: Batch, most: number, parcel: Parcel, called: boolean): Outcome {
    return this.#takeUpTo(most, batch, parcel, called, -1);
  }

  #takeUpTo(
    most: number,
    batch: Batch | undefined,
    parcel: Parcel,
    called: boolean,
    longest: number,
  ): Outcome {
    const w = this.#words;
    const at = this.#at;
    const glance = this.#glance(called);
    if (glance !== DONE) return glance;
    let outcome: Outcome = DONE;
    let taken = 0;
    this.lock();
    try {
      const count = w[at + EXCHANGE.COUNT];
      if (count === 0) outcome = w[at + EXCHANGE.STATE] === STATE.OPEN ? NOT_NOW : NEVER;
      else if (longest >= 0 && !this.#isBytes(parcel, longest)) outcome = REFUSED;
      else {
        taken = Math.min(count, most);
        const { ledger } = this.#terms;
        ledger?.begin();
        if (batch) this.store.pullMany(batch, taken, parcel);
        else this.store.pull(parcel);
        ledger?.end(taken);
        w[at + EXCHANGE.COUNT] = count - taken;
        w[at + EXCHANGE.TAKES]++;
      }
    } finally {
      this.unlock();
    }
    if (outcome === DONE) this.#cell.home.wake(at + EXCHANGE.TAKES, taken);
    return outcome;
  }

  #isBytes(parcel: Parcel, most: number): boolean {
    this.store.peek?.(parcel);
    return parcel.raw && parcel.length <= most;
  }

  /** What one who gets can see without the lock. DONE: there may be something. */
  #glance(called: boolean): Outcome {
    const w = this.#words;
    const at = this.#at;
    if (!this.#cell.isThere) return GONE;
    // In this order: what is not there once nothing comes in any more never will be.
    const state = Atomics.load(w, at + EXCHANGE.STATE);
    if (Atomics.load(w, at + EXCHANGE.COUNT) === 0 && !this.#isAbandoned())
      return state === STATE.OPEN ? NOT_NOW : NEVER;
    return !called && this.#isForOthers(this.#getting) ? NOT_NOW : DONE;
  }

  /** Has somebody died who held the lock? Then COUNT may be wrong until the next one takes it. */
  #isAbandoned(): boolean {
    const holder = holderIn(Atomics.load(this.#words, this.#at + EXCHANGE.LOCK));
    return holder !== 0 && this.#cell.home.isKnownDead(holder);
  }

  /** Puts an item in, if there is room. @throws {OutOfMemoryError} There is no memory, and no item to wait for. */
  offer(parcel: Parcel, called: boolean): Outcome {
    const w = this.#words;
    const at = this.#at;
    if (!this.#cell.isThere) return GONE;
    if (Atomics.load(w, at + EXCHANGE.STATE) !== STATE.OPEN) return NEVER;
    if (!called && this.#isForOthers(this.#putting)) return NOT_NOW;
    const bound = w[at + EXCHANGE.BOUND];
    if (bound > 0 && w[at + EXCHANGE.COUNT] >= bound && !this.#isAbandoned()) return NOT_NOW;
    let outcome: Outcome = NOT_NOW;
    this.lock();
    try {
      const count = w[at + EXCHANGE.COUNT];
      if (w[at + EXCHANGE.STATE] !== STATE.OPEN) outcome = NEVER;
      else if ((bound === 0 || count < bound) && this.#fits(count, parcel.length)) {
        parcel.settle(this.space);
        if (parcel.lead !== 0) w[at + EXCHANGE.CARRIER] = 1;
        this.store.push(parcel);
        w[at + EXCHANGE.COUNT] = count + 1;
        w[at + EXCHANGE.PUTS]++;
        outcome = DONE;
      }
    } catch (error) {
      if (!(error instanceof OutOfMemoryError) || w[at + EXCHANGE.COUNT] === 0) throw error;
    } finally {
      this.unlock();
    }
    if (outcome === DONE) this.#announce(1);
    return outcome;
  }

  /** Puts in as many of the batch as there is room for. DONE: all of them. */
  offerMany(batch: Batch, parcel: Parcel, called: boolean): Outcome {
    const w = this.#words;
    const at = this.#at;
    if (!this.#cell.isThere) return GONE;
    if (Atomics.load(w, at + EXCHANGE.STATE) !== STATE.OPEN) return NEVER;
    if (!called && this.#isForOthers(this.#putting)) return NOT_NOW;
    const before = batch.count;
    let isOpen = true;
    this.lock();
    try {
      isOpen = w[at + EXCHANGE.STATE] === STATE.OPEN;
      if (batch.carries) w[at + EXCHANGE.CARRIER] = 1;
      if (isOpen) this.#pushWhatFits(batch, parcel);
    } catch (error) {
      parcel.handle = 0; // the batch still has it
      const count = w[at + EXCHANGE.COUNT] + before - batch.count;
      if (!(error instanceof OutOfMemoryError) || count === 0) throw error;
    } finally {
      const put = before - batch.count;
      w[at + EXCHANGE.COUNT] += put;
      if (put > 0) w[at + EXCHANGE.PUTS]++;
      this.unlock();
      if (put > 0) this.#announce(put);
    }
    if (!isOpen) return NEVER;
    return batch.count === 0 ? DONE : NOT_NOW;
  }

  #pushWhatFits(batch: Batch, parcel: Parcel): void {
    const w = this.#words;
    const at = this.#at;
    const bound = w[at + EXCHANGE.BOUND];
    let count = w[at + EXCHANGE.COUNT];
    let room = bound === 0 ? batch.count : Math.min(batch.count, bound - count);
    while (room > 0) {
      // Some at a time, so that memory is asked about now and then.
      const some = Math.min(room, AT_ONCE);
      if (!this.#fits(count, lengthAt(batch.words, batch.start))) return;
      this.store.pushMany(batch, some, parcel);
      count += some;
      room -= some;
    }
  }

  #fits(count: number, bytes: number): boolean {
    return count === 0 || this.store.held + bytes <= this.#words[this.#at + EXCHANGE.LIMIT] * 1024;
  }

  /** Calls those who wait for items. */
  #announce(items: number): void {
    const { home } = this.#cell;
    home.wake(this.#at + EXCHANGE.PUTS, items);
    home.wake(this.#at + EXCHANGE.WATCH, Number.POSITIVE_INFINITY);
  }

  /** Nothing comes in from now on; what is in it is dropped if asked for. Wakes all who wait. */
  shutDown(immediate: boolean): void {
    const w = this.#words;
    const at = this.#at;
    this.lock();
    const state = immediate ? STATE.SHUT : Math.max(w[at + EXCHANGE.STATE], STATE.DRAINING);
    Atomics.store(w, at + EXCHANGE.STATE, state);
    if (immediate) {
      this.store.clear();
      w[at + EXCHANGE.COUNT] = 0;
    }
    this.unlock();
    this.wakeAll();
  }

  /** All who wait look again, those too who are about to. */
  wakeAll(): void {
    const { home } = this.#cell;
    this.lock();
    this.#change();
    this.unlock();
    for (const word of [EXCHANGE.PUTS, EXCHANGE.TAKES, EXCHANGE.WATCH])
      home.wake(this.#at + word, Number.POSITIVE_INFINITY);
  }

  /** Whoever is about to wait, having seen what was before, looks again. Needs the lock, as all that changes these words. */
  #change(): void {
    this.#words[this.#at + EXCHANGE.PUTS]++;
    this.#words[this.#at + EXCHANGE.TAKES]++;
  }

  /** Might one who gets find something, or learn that there will be nothing? */
  isReadable(): boolean {
    return this.#isWorthALook(this.#getting);
  }

  /**
   * Has `watcher` notified once it may have become readable, or this thread's waits were failed; once at most. Watch first, then
   * look.
   */
  watch(watcher: Watcher): Watch {
    const watch = new ReadWatch(this, this.#watches, watcher);
    watch.place = this.#cell.home.watch(this.#at + EXCHANGE.WATCH, 0, watch);
    return watch;
  }

  /**
   * Async waits of this thread, of those who get, who put, or both, end with an error, each with its own, unless they have got what
   * they waited for. Those who watch look.
   */
  failWaits(reason: () => unknown, which: 'get' | 'put' | 'both' = 'both'): void {
    for (const side of [this.#getting, this.#putting]) {
      if (which === (side === this.#getting ? 'put' : 'get')) continue;
      // Also for those that have just left the line, and will look before they stand in it again.
      side.failures++;
      side.reason = reason;
      for (const fail of [...side.waits]) fail(reason());
    }
    for (const watch of [...this.#watches]) watch.notify();
  }

  /** May an item have been in it that held the end of a pipe open? */
  get isCarrier(): boolean {
    return this.#words[this.#at + EXCHANGE.CARRIER] !== 0;
  }

  lock(): void {
    this.#cell.home.lock(this.#at + EXCHANGE.LOCK, this.#recover);
  }

  unlock(): void {
    this.#cell.home.unlock(this.#at + EXCHANGE.LOCK);
  }

  readonly #recover = () => {
    const w = this.#words;
    const at = this.#at;
    const count = this.store.recover();
    this.#terms.ledger?.recover(w[at + EXCHANGE.COUNT] - count);
    const isShut = w[at + EXCHANGE.STATE] === STATE.SHUT;
    if (isShut) this.store.clear(); // what it was about to do
    w[at + EXCHANGE.COUNT] = isShut ? 0 : count;
    // What the dead one had changed it may not have announced. Its death has all who wait look again, but perhaps had before COUNT
    // was put right. One of each side will do: who finds something calls the next.
    this.#change();
    this.#announce(1);
    this.#cell.home.wake(at + EXCHANGE.TAKES, 1);
  };

  /** Waits until `attempt` of one who gets comes to something. NOT_NOW: time ran out. */
  getSync(attempt: Attempt, timeout: number): Outcome {
    return this.#waitSync(this.#getting, attempt, timeout);
  }

  putSync(attempt: Attempt, timeout: number): Outcome {
    return this.#waitSync(this.#putting, attempt, timeout);
  }

  get(attempt: Attempt, options: WaitOptions): Promise<Outcome> {
    return this.#wait(this.#getting, attempt, options);
  }

  put(attempt: Attempt, options: WaitOptions): Promise<Outcome> {
    return this.#wait(this.#putting, attempt, options);
  }

  #waitSync(side: Side, attempt: Attempt, timeout: number): Outcome {
    const { home } = this.#cell;
    const wait: Wait = { side, attempt, began: 0, arrival: undefined, called: false, hasTurn: false };
    const recheck = () => !this.#isWorthALook(side);
    const queued = () => {
      if (!this.#cell.isThere) throw DISPOSED;
    };
    let arrival: number | undefined;
    try {
      for (let round = 0; ; round++) {
        const seen = Atomics.load(this.#words, side.word);
        const outcome = this.#attempt(wait);
        if (outcome !== NOT_NOW || timeout === 0) return outcome;
        if (wait.called) this.#askForTurn(wait);
        else if (round < ROUNDS && this.#spin(side, seen)) continue;
        if (wait.began === 0) wait.began = performance.now();
        const left = wait.began + timeout - performance.now();
        // Also while things change so fast that it never comes into line.
        if (left <= 0) {
          this.#giveUp(wait);
          return NOT_NOW;
        }
        arrival ??= this.#arrive();
        const first = wait.called;
        const parked = home.parkSync(side.word, seen, { timeout: left, first, arrival, recheck, queued });
        if (parked.outcome === 'timeout') {
          this.#giveUp(wait);
          return NOT_NOW;
        }
        wait.called ||= parked.outcome === 'woken';
      }
    } catch (error) {
      if (error === DISPOSED) return GONE;
      this.#giveUp(wait);
      throw error;
    }
  }

  async #wait(side: Side, attempt: Attempt, options: WaitOptions): Promise<Outcome> {
    const { signal } = options;
    const timeout = timeoutOf(options);
    signal?.throwIfAborted();
    const { home } = this.#cell;
    const { failures } = side;
    const began = performance.now();
    const wait: Wait = { side, attempt, began, arrival: undefined, called: false, hasTurn: false };
    const recheck = () => {
      if (!this.#isWorthALook(side)) return true;
      this.#giveUp(wait); // it leaves the line
      return false;
    };
    try {
      for (let round = 0; ; round++) {
        const seen = Atomics.load(this.#words, side.word);
        let outcome = this.#attempt(wait);
        if (outcome !== NOT_NOW || timeout === 0) return outcome;
        if (side.failures !== failures) throw side.reason();
        // Where several wait already, it takes longer.
        if (!wait.called && side.waits.size === 0 && round < ROUNDS && this.#spin(side, seen)) continue;
        const left = wait.began + timeout - performance.now();
        if (left <= 0) return NOT_NOW;
        wait.arrival ??= this.#arrive();
        let fail: ((reason: unknown) => void) | undefined;
        let failure: { readonly error: unknown } | undefined;
        try {
          const parked = await home.park(side.word, seen, {
            timeout: left,
            signal,
            first: wait.called,
            arrival: wait.arrival,
            recheck,
            queued: (_, failing) => {
              fail = failing;
              side.waits.add(failing);
              side.called.delete(wait);
              if (wait.called) this.#askForTurn(wait);
              if (!this.#cell.isThere) failing(DISPOSED);
            },
            // At once, not when the code that awaits it goes on: this thread may block before that.
            woken: () => {
              wait.called = true;
              side.called.add(wait);
              try {
                outcome = this.#attempt(wait);
              } catch (error) {
                failure = { error };
              }
              if (outcome === NOT_NOW && !failure) return this.#giveUp(wait);
              // At once, so that those that came later are not held up.
              side.called.delete(wait);
              if (fail) side.waits.delete(fail);
            },
          });
          if (failure) throw failure.error;
          if (outcome !== NOT_NOW) return outcome;
          if (parked.outcome === 'timeout') return NOT_NOW;
        } finally {
          if (fail) side.waits.delete(fail);
        }
      }
    } catch (error) {
      if (error === DISPOSED) return GONE;
      throw error;
    } finally {
      side.called.delete(wait);
      this.#giveUp(wait);
    }
  }

  /** A number that says who came first. */
  #arrive(): number {
    return Atomics.add(this.#words, this.#at + EXCHANGE.ARRIVALS, 1);
  }

  #attempt(wait: Wait): Outcome {
    const { side, attempt, called } = wait;
    let outcome: Outcome = NEVER;
    if (called && this.#hasEarlier(wait)) {
      // The call is for others: this one stays behind.
      if (this.#isWorthALook(side)) this.#cell.home.wake(side.word, 1);
      return NOT_NOW;
    }
    try {
      outcome = attempt(called);
      // Nobody can have come in between any more, and whose turn it is does not matter.
      if (outcome === NOT_NOW && this.#isOneSided(side)) {
        outcome = attempt(true);
        if (outcome === NOT_NOW) outcome = NEVER;
      }
    } finally {
      if (outcome !== NOT_NOW) this.#passOn(wait);
    }
    return outcome;
  }

  /** Has this thread an async wait that came earlier, and was called in vain? It must be the first to try again. */
  #hasEarlier({ side, arrival }: Wait): boolean {
    if (arrival === undefined) return false;
    for (const other of side.called) if (isLater(arrival, other.arrival as number)) return true;
    return false;
  }

  /** Looks out for a while for what another may be about to do. True: something has changed. */
  #spin(side: Side, seen: number): boolean {
    const w = this.#words;
    const isTrial = --side.untilTrial === 0;
    for (let i = isTrial ? MOST_SPINS : side.spins; i > 0; i--) {
      if (Atomics.load(w, side.word) === seen) continue;
      side.spins = MOST_SPINS;
      side.untilTrial = side.interval = TRY_AGAIN;
      return true;
    }
    side.spins = Math.max(LEAST_SPINS, side.spins >> 1);
    if (isTrial) side.untilTrial = side.interval = Math.min(TRY_AGAIN_AT_LEAST, side.interval * 2);
    return false;
  }

  /** Might one who waits find something, or learn that there will be nothing? */
  #isWorthALook(side: Side): boolean {
    const w = this.#words;
    const at = this.#at;
    if (!this.#cell.isThere || w[at + EXCHANGE.STATE] !== STATE.OPEN) return true;
    if (this.#isOneSided(side) || this.#isAbandoned()) return true;
    const count = Atomics.load(w, at + EXCHANGE.COUNT);
    if (side === this.#getting) return count > 0;
    const bound = w[at + EXCHANGE.BOUND];
    return count === 0 || bound === 0 || count < bound;
  }

  /** Are all gone that those of this side wait for? */
  #isOneSided(side: Side): boolean {
    const { noMorePuts, noMoreTakes } = this.#terms;
    return (side === this.#getting ? noMorePuts : noMoreTakes)?.() ?? false;
  }

  /** Is it another's turn, or that of one that has waited before in this thread, whose order is to be kept? */
  #isForOthers({ turn, waits }: Side): boolean {
    if (Atomics.load(this.#words, turn) !== 0 && this.#isTaken(turn)) return true;
    if (waits.size === 0) return false;
    hear(); // it may have been called
    return waits.size > 0;
  }

  /** Is it somebody's turn? */
  #isTaken(turn: number): boolean {
    const tag = Atomics.load(this.#words, turn);
    return tag !== 0 && !this.#cell.home.isKnownDead(tag);
  }

  /** Was called and came too late. If that has gone on for too long, newcomers stand behind it from now on. */
  #askForTurn(wait: Wait): void {
    const { turn } = wait.side;
    if (wait.hasTurn || performance.now() - wait.began < (this.#terms.patience ?? PATIENCE)) return;
    if (this.#isTaken(turn)) return;
    Atomics.store(this.#words, turn, this.#cell.home.self());
    wait.hasTurn = true;
    turns++;
  }

  /** It waits no more, or is not in line any more: it cannot hold up others any longer. */
  #giveUp(wait: Wait): void {
    if (!wait.hasTurn) return;
    wait.hasTurn = false;
    turns--;
    if (!this.#cell.isThere) return;
    const { word, turn } = wait.side;
    const me = this.#cell.home.self();
    if (Atomics.compareExchange(this.#words, turn, me, 0) !== me) return;
    // They may be about to wait, having seen that it was not their turn.
    this.lock();
    this.#words[word]++;
    this.unlock();
    if (this.#isWorthALook(wait.side)) this.#cell.home.wake(word, 1);
  }

  /** It has come to something: whatever else there is is for others. */
  #passOn(wait: Wait): void {
    const { side, called } = wait;
    this.#giveUp(wait);
    if (called && this.#isWorthALook(side)) this.#cell.home.wake(side.word, 1);
  }
}

/** One of this thread's that watches. */
class ReadWatch implements LineWatcher, Watch {
  readonly #exchange: Exchange;
  readonly #all: Set<ReadWatch>;
  readonly #watcher: Watcher;
  /** Where it stands in line. */
  place: LineWatch | undefined = undefined;

  constructor(exchange: Exchange, all: Set<ReadWatch>, watcher: Watcher) {
    this.#exchange = exchange;
    this.#all = all;
    this.#watcher = watcher;
    all.add(this);
  }

  isWorthwhile(): boolean {
    return !this.#exchange.isReadable();
  }

  notify(): void {
    this.stop();
    this.#watcher.notify();
  }

  stop(): void {
    this.#all.delete(this);
    this.place?.stop();
  }
}
