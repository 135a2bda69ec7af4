import { BrokenBarrierError } from '../errors/errors.js';
import { onDepart } from '../wait/depart.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { Parked } from '../wait/park.js';
import { Cell } from './cell.js';
import { newFlowId } from './flow.js';
import { Holders } from './holders.js';
import { nameOf } from './naming.js';
import { registerShared, SharedObject } from './shared-object.js';

/*
 * Rounds are numbered. The one store that ends a round is that of ENDED: its number and how it ended. All else follows: entries
 * of rounds that have ended count no more. The barrier's inner lock is the table's.
 *
 * Two tables: who waits, with the number of the round, and who is a party, as far as that can be known: threads that got the
 * barrier from another, and those that have waited at it.
 */
const WORD = {
  /** The last round that ended, twice, and 1 if it was broken. */
  ENDED: 0,
  PARTIES: 1,
  BROKEN: 2,
  /** Tag of who runs the action; 0: nobody. */
  ACTOR: 3,
} as const;
const WAITING_AT = 16;
const WAITING_BYTES = 960;
const MEMBERS_AT = WAITING_AT + WAITING_BYTES / 4;
const MEMBERS_BYTES = 960;
const BYTES = MEMBERS_AT * 4 + MEMBERS_BYTES;

const PASSED = 1;
const BROKE = 2;
const CLOSED = 3;

export interface BarrierOptions {
  /** Run by the last to arrive, before anyone leaves. Throws it, the barrier breaks. */
  action?: () => void;
  /** Of every wait() that gives none, ms. */
  timeout?: number;
}

/** How a thread came to the barrier. */
interface Arrival {
  readonly round: number;
  /** What ENDED says for as long as that round goes on. */
  readonly ended: number;
  /** Its place in the order; −1: the round is just ending, so it has to come again after that. */
  readonly index: number;
  readonly isLast: boolean;
}

/** The barriers of this thread of which it is a party. */
const joined = new Set<Barrier>();

/**
 * A place where a number of parties wait for one another: all go on once the last has arrived, again and again.
 *
 * It breaks, for all that wait at it and until reset(), when one of them runs out of time or is aborted, when abort() is
 * called, when the action throws, when one of them dies, or when others that had it died so that those that are left can never
 * be enough.
 *
 * Python: `multiprocessing.Barrier`, which waits for the dead for ever.
 */
export class Barrier extends SharedObject {
  readonly #action: (() => void) | undefined;
  readonly #timeout: number | undefined;
  readonly #waiting: Holders;
  readonly #members: Holders;

  constructor(parties: number, options?: BarrierOptions);
  constructor(parties: number | Cell, options: BarrierOptions = {}) {
    super(parties instanceof Cell ? parties : Cell.make(BYTES));
    const { words, at } = this.cell;
    this.#waiting = new Holders(words, at + WAITING_AT);
    this.#members = new Holders(words, at + MEMBERS_AT);
    this.#action = options.action;
    this.#timeout = options.timeout;
    if (parties instanceof Cell) {
      this.#join();
      return;
    }
    check(parties, options);
    Holders.prepare(words, at + WAITING_AT, WAITING_BYTES);
    Holders.prepare(words, at + MEMBERS_AT, MEMBERS_BYTES);
    words[at + WORD.PARTIES] = parties;
  }

  /** How many have to arrive. */
  get parties(): number {
    this.check();
    return this.#word(WORD.PARTIES);
  }

  /** How many wait now. Stale once read. */
  get waiting(): number {
    this.check();
    return this.#locked(() => (this.#word(WORD.ACTOR) === 0 ? this.#arrived() : 0));
  }

  get broken(): boolean {
    this.check();
    return this.#word(WORD.BROKEN) !== 0;
  }

  /**
   * Waits until all parties have arrived. Resolves with a number from 0 to parties − 1, a different one for each: the
   * order of arrival.
   * @throws {BrokenBarrierError} It broke, or was broken already; so also when this wait's time ran out.
   */
  async wait(options: WaitOptions = {}): Promise<number> {
    const timeout = this.#timeoutOf(options);
    const { signal } = options;
    signal?.throwIfAborted();
    this.check();
    const deadline = performance.now() + timeout;
    for (;;) {
      const arrival = this.#arrive();
      if (arrival.isLast) await this.#act(arrival);
      else await this.#waitForEnd(arrival, deadline, signal);
      if (arrival.index >= 0) return arrival.index;
    }
  }

  /** The same, blocking this thread. An action that returns a promise is not awaited. */
  waitSync(options?: { timeout?: number }): number {
    const timeout = this.#timeoutOf(options);
    this.check();
    const deadline = performance.now() + timeout;
    for (;;) {
      const arrival = this.#arrive();
      if (arrival.isLast) this.#actSync(arrival);
      else this.#waitForEndSync(arrival, deadline);
      if (arrival.index >= 0) return arrival.index;
    }
  }

  /** Makes it whole again and empty. Who waits now is told that it broke. */
  reset(): void {
    this.check();
    this.#locked(() => {
      if (this.#arrived() > 0) this.#end(1);
      this.#set(WORD.BROKEN, 0);
    });
  }

  /** Breaks it. */
  abort(): void {
    this.check();
    this.#break();
  }

  /** Frees it, for all who have it; who waits is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere) return;
    const { home, at } = this.cell;
    home.wake(at + WORD.ENDED, Number.POSITIVE_INFINITY, { token: CLOSED });
    joined.delete(this);
    super[Symbol.dispose]();
  }

  protected override attached(): readonly number[] {
    return [...this.#waiting.blocks, ...this.#members.blocks];
  }

  /** @internal This thread ends in order, and is a party no more. */
  part(): void {
    if (!this.cell.isThere) return;
    const me = this.cell.home.self();
    this.#locked(() => {
      const place = this.#members.find(({ tag }) => tag === me);
      if (place !== 0) this.#members.remove(place);
    });
    joined.delete(this);
  }

  /** @internal */
  get options(): BarrierOptions {
    return {
      ...(this.#action ? { action: this.#action } : {}),
      ...(this.#timeout === undefined ? {} : { timeout: this.#timeout }),
    };
  }

  #timeoutOf(options: { timeout?: number } | undefined): number {
    return timeoutOf(
      options?.timeout === undefined ? { timeout: this.#timeout ?? Number.POSITIVE_INFINITY } : options,
    );
  }

  /** Enters this thread as a party. */
  #join(): void {
    if (joined.has(this)) return;
    joined.add(this);
    this.#locked(() => this.#note(this.#members, 0));
  }

  #arrive(): Arrival {
    this.#join();
    return this.#locked(() => {
      this.#lookForDead();
      if (this.#word(WORD.BROKEN) !== 0) throw this.#brokenError();
      const ended = this.#word(WORD.ENDED);
      const round = roundAfter(ended);
      if (this.#word(WORD.ACTOR) !== 0) return { round, ended, index: -1, isLast: false };
      const index = this.#arrived();
      const isLast = index + 1 === this.#word(WORD.PARTIES);
      this.#note(this.#waiting, round);
      if (isLast && this.#action) this.#set(WORD.ACTOR, this.cell.home.self());
      else if (isLast) this.#end(0);
      return { round, ended, index, isLast };
    });
  }

  async #waitForEnd(arrival: Arrival, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    try {
      for (;;) {
        const parked = await this.cell.home.park(this.cell.at + WORD.ENDED, arrival.ended, {
          timeout: Math.max(deadline - performance.now(), 0),
          ...(signal ? { signal } : {}),
          recheck: () => this.#isWorthwhile(),
        });
        if (this.#isOver(arrival, parked)) return;
      }
    } catch (error) {
      if (this.cell.isThere && arrival.index >= 0 && !this.#hasEnded(arrival.round)) this.#break();
      throw error;
    }
  }

  #waitForEndSync(arrival: Arrival, deadline: number): void {
    for (;;) {
      const parked = this.cell.home.parkSync(this.cell.at + WORD.ENDED, arrival.ended, {
        timeout: Math.max(deadline - performance.now(), 0),
        recheck: () => this.#isWorthwhile(),
      });
      if (this.#isOver(arrival, parked)) return;
    }
  }

  async #act({ round }: Arrival): Promise<void> {
    if (!this.#action) return;
    try {
      await this.#action();
    } catch (error) {
      this.#break();
      throw error;
    }
    this.#finish(round);
  }

  #actSync({ round }: Arrival): void {
    if (!this.#action) return;
    try {
      this.#action();
    } catch (error) {
      this.#break();
      throw error;
    }
    this.#finish(round);
  }

  /** The action has run. */
  #finish(round: number): void {
    this.#locked(() => {
      if (roundAfter(this.#word(WORD.ENDED)) !== round) throw this.#brokenError();
      this.#end(0);
    });
  }

  /** Ends the round. Needs the inner lock. */
  #end(broken: 0 | 1): void {
    const { home, at } = this.cell;
    this.#set(WORD.ENDED, (this.#word(WORD.ENDED) & ~1) + 2 + broken);
    this.#set(WORD.ACTOR, 0);
    this.#tidy();
    home.wake(at + WORD.ENDED, Number.POSITIVE_INFINITY, { token: broken ? BROKE : PASSED });
  }

  #break(): void {
    this.#locked(() => this.#breakNow());
  }

  #breakNow(): void {
    this.#set(WORD.BROKEN, 1);
    this.#end(1);
  }

  /** How a wait for the end of a round came out. False: it goes on. */
  #isOver({ round, index }: Arrival, { outcome, token }: Parked): boolean {
    if (!this.cell.isThere || (outcome === 'woken' && token === CLOSED)) throw this.closed();
    if (outcome === 'woken' && token === PASSED) return true;
    if (outcome === 'woken') throw this.#brokenError();
    return this.#locked(() => {
      if (outcome === 'changed') this.#lookForDead();
      if (this.#hasEnded(round)) {
        // Whoever ended it died before it could tell; if another round has ended since, nobody knows any more.
        if (this.#word(WORD.ENDED) === round * 2) return true;
        throw this.#brokenError();
      }
      if (outcome === 'changed') return false;
      if (index >= 0) this.#breakNow();
      throw this.#brokenError();
    });
  }

  #hasEnded(round: number): boolean {
    return ((this.#word(WORD.ENDED) >> 1) - round) << 1 >= 0;
  }

  /** Breaks it if one that waits has died, or if parties have, and too few are left. Needs the inner lock. */
  #lookForDead(): void {
    const { isKnownDead } = this.cell.home;
    const round = roundAfter(this.#word(WORD.ENDED));
    const hasLostOne = this.#waiting.find(({ tag, low }) => low === round && isKnownDead(tag)) !== 0;
    const hasLostParties = this.#members.reclaim(isKnownDead, () => false);
    const areEnough = this.#members.held >= this.#word(WORD.PARTIES);
    if (hasLostOne || (hasLostParties && !areEnough && this.#arrived() > 0)) this.#breakNow();
  }

  /** After somebody's death: is there nothing to see but this wait? */
  #isWorthwhile(): boolean {
    const { isKnownDead } = this.cell.home;
    return !this.#waiting.hasDead(isKnownDead) && !this.#members.hasDead(isKnownDead);
  }

  /** Parties that have arrived in this round. Needs the inner lock. */
  #arrived(): number {
    const round = roundAfter(this.#word(WORD.ENDED));
    return this.#waiting.all().filter(({ low }) => low === round).length;
  }

  /** Takes out those whose round has ended. Needs the inner lock. */
  #tidy(): void {
    const round = roundAfter(this.#word(WORD.ENDED));
    const isOld = ({ low }: { low: number }) => low !== round;
    for (let place = this.#waiting.find(isOld); place !== 0; place = this.#waiting.find(isOld))
      this.#waiting.remove(place);
  }

  #note(table: Holders, round: number): void {
    table.reserve(1, this.cell);
    table.add(this.cell.home.self(), newFlowId(), { mode: 1, low: round, high: 0 });
  }

  #locked<T>(run: () => T): T {
    const { home } = this.cell;
    const recover = () => {
      this.#waiting.recount();
      this.#members.recount();
      this.#tidy();
    };
    home.lock(this.#waiting.lock, recover);
    try {
      return run();
    } finally {
      home.unlock(this.#waiting.lock);
    }
  }

  #word(index: number): number {
    return Atomics.load(this.cell.words, this.cell.at + index);
  }

  #set(index: number, value: number): void {
    Atomics.store(this.cell.words, this.cell.at + index, value);
  }

  #brokenError(): BrokenBarrierError {
    return new BrokenBarrierError(
      `Cannot pass ${nameOf(this.cell, this)} as it is broken: reset() it once all parties can come again`,
    );
  }
}

/** The number of the round that goes on when ENDED is so. */
function roundAfter(ended: number): number {
  return (ended >> 1) + 1;
}

function check(parties: number, { action, timeout }: BarrierOptions): void {
  if (typeof parties !== 'number')
    throw new TypeError(`Cannot make a Barrier of ${typeof parties}: give the number of parties`);
  if (!Number.isInteger(parties) || parties < 1)
    throw new RangeError(`Cannot make a Barrier of ${parties} parties: give a whole number from 1 on`);
  if (action !== undefined && typeof action !== 'function')
    throw new TypeError(`Cannot use ${typeof action} as "action": give a function`);
  timeoutOf(timeout === undefined ? {} : { timeout });
}

// A party that ends in order, with nothing gone wrong, is missed by nobody.
onDepart(() => {
  if (process.exitCode) return joined.size > 0;
  for (const barrier of [...joined]) barrier.part();
  return false;
});

registerShared('Barrier', Barrier, { extra: barrier => barrier.options });
