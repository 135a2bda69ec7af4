import { BrokenBarrierError, ClosedError } from '../errors/errors.js';
import { onDepart } from '../wait/depart.js';
import { onFork } from '../wait/forks.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { Parked } from '../wait/parking.js';
import { Cell, type CellHandle } from './cell.js';
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
  /** 1: nobody passes before reset(). */
  BROKEN: 2,
  /** The round all of whose parties have arrived, and whose action runs or has run. */
  COMPLETE: 3,
  /** The last round that was broken. */
  BROKEN_ROUND: 4,
  /** How many parties have died since it was whole and empty. */
  LOST: 5,
} as const;
const WAITING_AT = 16;
const WAITING_BYTES = 960;
const MEMBERS_AT = WAITING_AT + WAITING_BYTES / 4;
const MEMBERS_BYTES = 960;
const BYTES = MEMBERS_AT * 4 + MEMBERS_BYTES;

const ROUND_MASK = 0x7fffffff;
const MOST = 2 ** 31 - 1;

const PASSED = 1;
const BROKE = 2;
const CLOSED = 3;

/** What happens at a {@link Barrier}, and how long one waits there. */
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

/** The barriers that this thread shares with others as one of the parties. */
const joined = new Set<Barrier>();

/**
 * A place where a number of parties wait for one another: all go on once the last has arrived, again and again.
 *
 * It breaks, for all that wait at it and until reset(), when one of them runs out of time or is aborted, when abort() is
 * called, when the action throws, when one of them dies, or when others that had it died so that fewer threads have it than
 * have to come. Who comes to a broken one is told at once.
 *
 * Python: `multiprocessing.Barrier`, which waits for the dead for ever.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Barrier, Process } from 'manyhands';
 *
 * using barrier = new Barrier(3);
 * const meet = () => barrier.wait(); // nobody goes on before all three have come
 * const walkers = [1, 2, 3].map(() => new Process({ target: meet }).start());
 * const places = await Promise.all(walkers.map(walker => walker.result()));
 * assert.deepEqual(places.sort(), [0, 1, 2]);
 * ```
 */
export class Barrier extends SharedObject {
  readonly #action: (() => void) | undefined;
  readonly #timeout: number | undefined;
  readonly #waiting: Holders;
  readonly #members: Holders;
  /** As whom this thread is a party; 0: it is none. */
  #joinedAs = 0;

  /**
   * @param parties How many have to arrive: from 1 on.
   * @throws {TypeError | RangeError} `parties` is no such number, or an option is wrong.
   * @throws {OutOfMemoryError} The commons is full.
   */
  constructor(parties: number, options?: BarrierOptions);
  constructor(parties: number | Cell, options: BarrierOptions = {}) {
    super(parties instanceof Cell ? parties : cellFor(parties, options));
    const { cell } = this;
    const waiting = new Holders(cell.words, cell.at + WAITING_AT);
    const members = new Holders(cell.words, cell.at + MEMBERS_AT);
    cell.attached = () => [...waiting.blocks, ...members.blocks];
    this.#waiting = waiting;
    this.#members = members;
    this.#action = options.action;
    this.#timeout = options.timeout;
    if (parties instanceof Cell) this.#join();
  }

  /** How many have to arrive. */
  get parties(): number {
    this.check();
    return this.#word(WORD.PARTIES);
  }

  /** How many wait now. Stale once read. */
  get waiting(): number {
    return this.#locked(() => (this.#isComplete() ? 0 : this.#waiting.held));
  }

  /** Is it broken? Then every wait() is refused until reset(). Stale once read. */
  get broken(): boolean {
    this.check();
    return this.#word(WORD.BROKEN) !== 0;
  }

  protected override facts(): object {
    const { parties, waiting, broken } = this;
    return { parties, waiting, broken };
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
    const deadline = performance.now() + timeout;
    for (;;) {
      const arrival = this.#arrive();
      if (arrival.isLast) await this.#act(arrival);
      else await this.#waitForEnd(arrival, deadline, signal);
      if (arrival.index >= 0) return arrival.index;
    }
  }

  /** {@link wait | wait()}, blocking this thread. An action that returns a promise is not awaited. */
  waitSync(options?: { timeout?: number }): number {
    const timeout = this.#timeoutOf(options);
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
    this.#locked(() => {
      this.#members.reclaim(this.cell.home.isKnownDead, () => false);
      if (this.#waiting.held > 0) this.#end(1);
      this.#set(WORD.LOST, 0);
      this.#set(WORD.BROKEN, 0);
    });
  }

  /** Breaks it. */
  abort(): void {
    this.#locked(() => this.#break());
  }

  /** Frees it, for all who have it; who waits is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    joined.delete(this);
    super[Symbol.dispose]();
  }

  protected override farewell(): void {
    const { home, words, at } = this.cell;
    Atomics.add(words, at + WORD.ENDED, 2); // who is about to wait looks again
    home.wake(at + WORD.ENDED, Number.POSITIVE_INFINITY, { token: CLOSED, passOn: false });
  }

  /** @internal */
  override passOn(): CellHandle {
    const handle = super.passOn();
    if (this.#hasJoined) joined.add(this);
    return handle;
  }

  /** @internal This thread ends in order, and is a party no more. */
  part(): void {
    if (!this.cell.isThere) return;
    const isMine = ({ tag }: { tag: number }) => tag === this.cell.home.self();
    try {
      this.#locked(() => {
        this.#members.removeAll(isMine);
        if (!this.#isComplete() && this.#waiting.find(isMine) !== 0) this.#break(); // it waits, and will not wait on
      });
    } catch (error) {
      if (!(error instanceof ClosedError)) throw error; // else somebody has disposed of it since we looked
    }
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

  /** One that was forked since is another. */
  get #hasJoined(): boolean {
    return this.#joinedAs !== 0 && this.#joinedAs === this.cell.home.self();
  }

  /** Enters this thread as a party. */
  #join(): void {
    if (this.#hasJoined) return;
    this.#locked(() => {
      const me = this.cell.home.self();
      if (this.#members.find(({ tag }) => tag === me) === 0) this.#note(this.#members, 0);
    });
    this.#joinedAs = this.cell.home.self();
    if (this.cell.isPassedOn) joined.add(this);
  }

  #arrive(): Arrival {
    this.#join();
    return this.#locked(() => {
      this.#lookForDead({ isArriving: true });
      if (this.#word(WORD.BROKEN) !== 0) throw this.#brokenError();
      const ended = this.#word(WORD.ENDED);
      const round = roundAfter(ended);
      if (this.#isComplete()) return { round, ended, index: -1, isLast: false };
      const index = this.#waiting.held;
      const isLast = index + 1 === this.#word(WORD.PARTIES);
      this.#note(this.#waiting, round);
      if (isLast && this.#action) this.#set(WORD.COMPLETE, round);
      else if (isLast) this.#end(0);
      return { round, ended, index, isLast };
    });
  }

  async #waitForEnd(arrival: Arrival, deadline: number, signal: AbortSignal | undefined): Promise<void> {
    for (;;) {
      let parked: Parked;
      try {
        parked = await this.cell.home.park(this.cell.at + WORD.ENDED, arrival.ended, {
          timeout: Math.max(deadline - performance.now(), 0),
          ...(signal ? { signal } : {}),
          recheck: () => this.#isWorthwhile(arrival),
        });
      } catch (error) {
        if (this.cell.isThere) this.#locked(() => this.#giveUp(arrival));
        throw error;
      }
      if (this.#isOver(arrival, parked)) return;
    }
  }

  #waitForEndSync(arrival: Arrival, deadline: number): void {
    for (;;) {
      const parked = this.cell.home.parkSync(this.cell.at + WORD.ENDED, arrival.ended, {
        timeout: Math.max(deadline - performance.now(), 0),
        recheck: () => this.#isWorthwhile(arrival),
      });
      if (this.#isOver(arrival, parked)) return;
    }
  }

  async #act({ round }: Arrival): Promise<void> {
    if (!this.#action) return;
    try {
      await this.#action();
    } catch (error) {
      this.#fail(round);
      throw error;
    }
    this.#finish(round);
  }

  #actSync({ round }: Arrival): void {
    if (!this.#action) return;
    try {
      this.#action();
    } catch (error) {
      this.#fail(round);
      throw error;
    }
    this.#finish(round);
  }

  /** The action has run. */
  #finish(round: number): void {
    this.#locked(() => {
      if (this.#outcomeOf(round) !== 'open') throw this.#brokenError();
      this.#end(0);
    });
  }

  /** The action has thrown. */
  #fail(round: number): void {
    if (!this.cell.isThere) return;
    this.#locked(() => {
      if (this.#outcomeOf(round) === 'open') this.#break();
    });
  }

  /** Ends the round. Needs the inner lock. */
  #end(broken: 0 | 1): void {
    const { home, at } = this.cell;
    const ended = this.#word(WORD.ENDED);
    if (broken) this.#set(WORD.BROKEN_ROUND, roundAfter(ended));
    this.#set(WORD.ENDED, (ended & ~1) + 2 + broken);
    this.#tidy();
    home.wake(at + WORD.ENDED, Number.POSITIVE_INFINITY, {
      token: broken ? BROKE : PASSED,
      passOn: false, // all that it concerns are woken
    });
  }

  /** Needs the inner lock. */
  #break(): void {
    this.#set(WORD.BROKEN, 1);
    this.#end(1);
  }

  /** One that waits does so no longer. Needs the inner lock. */
  #giveUp({ round, index }: Arrival): void {
    if (this.#outcomeOf(round) !== 'open') return;
    // Who came while the action runs is no party of this round, which may well pass; of the next it would have been one.
    if (index >= 0) this.#break();
    else this.#set(WORD.BROKEN, 1);
  }

  /** How a wait for the end of a round came out. False: it goes on. */
  #isOver(arrival: Arrival, { outcome, token }: Parked): boolean {
    if (outcome === 'woken') {
      if (token === CLOSED) throw this.closed();
      if (token === PASSED || arrival.index < 0) return true;
      throw this.#brokenError();
    }
    return this.#locked(() => {
      if (outcome === 'changed') this.#lookForDead();
      const how = this.#outcomeOf(arrival.round);
      if (how === 'passed' || (how === 'broken' && arrival.index < 0)) return true;
      if (how === 'open' && outcome === 'changed') return false;
      this.#giveUp(arrival);
      throw this.#brokenError();
    });
  }

  /** Whether a round goes on, and if not, how it ended; one that is long past counts as broken if another one was since. */
  #outcomeOf(round: number): 'open' | 'passed' | 'broken' {
    const ended = this.#word(WORD.ENDED);
    const since = distance(round, ended >> 1);
    if (since < 0) return 'open';
    const broken = since === 0 ? (ended & 1) !== 0 : distance(round, this.#word(WORD.BROKEN_ROUND)) >= 0;
    return broken ? 'broken' : 'passed';
  }

  /** Have all arrived, and does the action run? Needs the inner lock. */
  #isComplete(): boolean {
    return this.#word(WORD.COMPLETE) === roundAfter(this.#word(WORD.ENDED));
  }

  /**
   * Breaks it if one that waits has died, or if others have, and too few are left; and does what one may have left undone that died.
   * Needs the inner lock.
   */
  #lookForDead({ isArriving = false } = {}): void {
    const { isKnownDead } = this.cell.home;
    const before = this.#members.held;
    if (this.#members.reclaim(isKnownDead, () => false))
      this.#set(WORD.LOST, this.#word(WORD.LOST) + before - this.#members.held);
    if (!isArriving && this.#waiting.held === 0) return;
    const areTooFew = this.#word(WORD.LOST) > 0 && this.#members.held < this.#word(WORD.PARTIES);
    const isBroken = this.#word(WORD.BROKEN) !== 0 || areTooFew;
    // Once all have arrived, only the death of one of them matters.
    if ((isBroken && !this.#isComplete()) || this.#waiting.hasDead(isKnownDead)) this.#break();
  }

  /** After somebody's death: is there nothing to see but this wait? */
  #isWorthwhile({ ended }: Arrival): boolean {
    const { isKnownDead } = this.cell.home;
    return (
      this.cell.isThere &&
      this.#word(WORD.ENDED) === ended &&
      !this.#waiting.hasDead(isKnownDead) &&
      !this.#members.hasDead(isKnownDead)
    );
  }

  /** Takes out those whose round has ended. Needs the inner lock. */
  #tidy(): void {
    const round = roundAfter(this.#word(WORD.ENDED));
    this.#waiting.removeAll(({ low }) => low !== round);
  }

  #note(table: Holders, round: number): void {
    table.reserve(1, this.cell);
    table.add(this.cell.home.self(), newFlowId(), { mode: 1, low: round, high: 0 });
  }

  #locked<T>(run: () => T): T {
    const { home } = this.cell;
    const recover = () => {
      if (!this.cell.isThere) return;
      this.#waiting.recount();
      this.#members.recount();
      this.#tidy();
    };
    this.check();
    home.lock(this.#waiting.lock, recover);
    try {
      this.check();
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
  return ((ended >> 1) + 1) & ROUND_MASK;
}

/** How many rounds the second one is later; they are numbered in a circle. */
function distance(round: number, other: number): number {
  return ((other - round) << 1) >> 1;
}

function cellFor(parties: number, { action, timeout }: BarrierOptions): Cell {
  if (typeof parties !== 'number')
    throw new TypeError(`Cannot make a Barrier of ${typeof parties}: give the number of parties`);
  if (!Number.isInteger(parties) || parties < 1 || parties > MOST)
    throw new RangeError(
      `Cannot make a Barrier of ${parties} parties: give a whole number from 1 to ${MOST}`,
    );
  if (action !== undefined && typeof action !== 'function')
    throw new TypeError(`Cannot use ${typeof action} as "action": give a function`);
  timeoutOf(timeout === undefined ? undefined : { timeout });
  const cell = Cell.make(BYTES);
  const { words, at } = cell;
  Holders.prepare(words, at + WAITING_AT, WAITING_BYTES);
  Holders.prepare(words, at + MEMBERS_AT, MEMBERS_BYTES);
  words[at + WORD.PARTIES] = parties;
  return cell;
}

// A party that ends in order, with nothing gone wrong, is missed by nobody.
onDepart(() => {
  if (process.exitCode) return joined.size > 0;
  for (const barrier of joined) barrier.part();
  joined.clear();
  return false;
});

// Whoever is forked comes as a party of its own, if at all.
onFork(() => ({ take: () => joined.clear() }));

registerShared('Barrier', Barrier, { extra: barrier => barrier.options });
