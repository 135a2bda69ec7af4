import { LockError, TimeoutError } from '../errors/errors.js';
import { NOBODY } from '../memory/participants.js';
import { onDepart } from '../wait/depart.js';
import { onBlock } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { Cell } from './cell.js';
import { BlockedWatch, registerBlockers, selfDeadlock, watchWait } from './deadlocks.js';
import { currentFlow, Flow, type Holding, THREAD } from './flow.js';
import { type Guard, type Guarded, Held } from './guard.js';
import { nowGivenBack, nowHeld } from './holding.js';
import { commons } from './home.js';
import { type NamedOptions, nameOf, openCell } from './naming.js';
import { registerShared, SharedObject } from './shared-object.js';

/*
 * The word of a lock:
 *
 *   0                        free
 *   tag                      held by that thread, nobody waits
 *   tag | LINE               held, somebody may wait: release calls one
 *   tag | LINE | HANDOVER    held, one who was called in vain waits: release gives it the lock
 *   tag | HANDOVER           given to that thread, whose code has not gone on with it yet; others may wait
 *   LINE | HANDOVER          it is no more
 *
 * Who is called leaves the line and competes with those who come running: so an owner that takes the lock again and again
 * does so at full speed, while the one called wakes up. If it finds the lock taken it asks for HANDOVER and waits again,
 * now first in line, and gets the lock at the next release. Nobody is overtaken twice. One who was called is
 * answerable for the rest of the line: it marks the lock LINE as it takes it, and passes the call on if it gives up.
 *
 * Sources: three states after U. Drepper, "Futexes Are Tricky"; the hand-over to one who was called in vain after the starvation
 * mode of Go's sync.Mutex.
 *
 * A thread may be called, or given the lock, for an async wait whose code has not gone on yet. If it blocks in any wait of this
 * library meanwhile, it passes that on, as its event loop does not run: or those behind, and perhaps the blocked thread
 * itself, would wait for nobody.
 *
 * An owner that is dead is found by its tag. Each death makes all who wait look at the word again: the first to find that its
 * owner has died gives the lock to the one that waits longest.
 */
const LINE = 1 << 30;
const HANDOVER = 1 << 31;
const TAG = LINE - 1;

/** Words of a lock. FLOW: of its owner's flows, which one. LEVELS: an RLock's, less one. */
export const LOCK = { STATE: 0, FLOW: 1, LEVELS: 2, WORDS: 4 } as const;
const CELL_BYTES = 64;

/** The word of a lock that is about to be freed: nobody waits at it any more. */
const NO_MORE = LINE | HANDOVER;

/** What a waiter is told when it is woken. */
const CALLED = 0;
const GIVEN = 1;
const CLOSED = 2;
/** GIVEN, by one who found its owner dead. */
const INHERITED = 3;

/** What a look at the word may come to, besides a word to wait at, which is never one of these. */
const TAKEN = 0;
const TAKEN_OVER = 1;

const SPINS = 100;

/** How an owner stood before it gave the lock up for a while. */
export interface Standing {
  readonly flow: number;
  readonly levels: number;
  latest: Held | undefined;
  /** How many of its guards were released meanwhile. */
  owed: number;
}

/** An async wait of this thread that has been told something, and whose code has not gone on yet. */
interface Told {
  readonly lock: Lock;
  readonly token: number;
}

const told = new Set<Told>();
/** How many async waits this thread has. */
let waits = 0;

/**
 * A lock that one at a time holds, among all threads and processes that have it.
 *
 * Order: who waits gets it in order of arrival, but a running thread may take a free lock before one that is being woken;
 * nobody is overtaken that way twice. It is no RLock: who holds it and acquires it again waits.
 *
 * Death: if its owner ends with the lock in hand, however it ends, the next one gets it, with `guard.abandoned` true.
 *
 * Waiting for ever: a wait that closes a circle of owners that wait for one another is rejected with DeadlockError, about a
 * tenth of a second later.
 *
 * Python: `multiprocessing.Lock`, whose owner, killed, keeps it for ever.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Lock, Process, SharedArray } from 'manyhands';
 *
 * using lock = new Lock();
 * using accounts = new SharedArray('i32', [100, 0]);
 * const transfer = async () => {
 *   using _ = await lock.acquire(); // until the end of this block
 *   accounts.set(0, accounts.get(0) - 10);
 *   accounts.set(1, accounts.get(1) + 10);
 * };
 * const children = [1, 2, 3].map(() => new Process({ target: transfer }).start());
 * await Promise.all(children.map(child => child.join()));
 * assert.deepEqual([...accounts], [70, 30]);
 * ```
 */
export class Lock extends SharedObject implements Guarded<Held>, Holding {
  /** The latest of this thread's guards that are not released. */
  protected latest: Held | undefined = undefined;
  /** Those that have given it up for a while. */
  private readonly suspended = new Set<Standing>();

  /**
   * A new lock, or with `{ name }` the one of that name if there is one.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(options?: NamedOptions);
  /** @internal On the first words of a cell: its own, or that of the object that it is part of. */
  constructor(cell: Cell, whole?: SharedObject);
  constructor(options: NamedOptions | Cell = {}, whole?: SharedObject) {
    super(options instanceof Cell ? options : openCell('Lock', options, { bytes: CELL_BYTES }), whole);
  }

  /**
   * Waits until the lock is this caller's. In line by the time the call returns.
   * @throws {TimeoutError} It was not when `timeout` had passed. `timeout: 0` does not wait.
   * @throws {DeadlockError} The wait would never end.
   * @throws {ClosedError} The lock was disposed of.
   */
  acquire(options?: WaitOptions): Promise<Guard> {
    const flow = new Flow(this);
    return flow.startsAt(this.acquireAs(flow, options));
  }

  /** {@link acquire | acquire()}, blocking this thread. @throws {DeadlockError} Also if this thread holds it and no `timeout` is given. */
  acquireSync(options?: { timeout?: number }): Guard {
    const { words, at, home } = this.cell;
    const me = home.self();
    if (options === undefined && this.cell.isThere && Atomics.compareExchange(words, at, 0, me) === 0)
      return this.take(false);
    return this.#waitSync(options);
  }

  /** Takes the lock if that can be done without waiting; else null. */
  tryAcquire(): Guard | null {
    this.check();
    const { words, at, home } = this.cell;
    const me = home.self();
    const seen = Atomics.compareExchange(words, at, 0, me);
    if (seen === 0) return this.take(false);
    if ((seen & TAG) === 0) throw this.closed();
    if (!home.isKnownDead(seen & TAG)) return null;
    return Atomics.compareExchange(words, at, seen, me | LINE) === seen ? this.takeOver() : null;
  }

  /** Gives the lock back, whoever holds it. @throws {LockError} Nobody does; or one who has died: it is the next one's then. */
  release(): void {
    this.check();
    const { words, at, home } = this.cell;
    const owner = Atomics.load(words, at) & TAG;
    if (owner === 0 || home.isKnownDead(owner)) throw this.notHeld('release');
    if (owner === home.self()) this.forget(this.latest);
    this.letGo();
  }

  /** Does anyone hold it? Stale once read. */
  locked(): boolean {
    this.check();
    const owner = Atomics.load(this.cell.words, this.cell.at) & TAG;
    return owner !== 0 && !this.cell.home.isKnownDead(owner);
  }

  protected override facts(): object {
    return { locked: this.locked() };
  }

  /** Runs `fn` with the lock held, and releases it when `fn`, or the promise it returned, has ended. */
  runExclusive<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    const flow = new Flow(this);
    return flow.endsWith(this.#runAs(flow, fn, options));
  }

  async #runAs<T>(flow: Flow, fn: () => T | PromiseLike<T>, options: WaitOptions | undefined): Promise<T> {
    const guard = await this.acquireAs(flow, options);
    try {
      return await flow.run(fn);
    } finally {
      guard.release();
    }
  }

  /** {@link runExclusive | runExclusive()}, blocking this thread while it waits. `fn` must not be async: the lock is released when it returns. */
  runExclusiveSync<T>(fn: () => T, options?: { timeout?: number }): T {
    const guard = this.acquireSync(options);
    try {
      return fn();
    } finally {
      guard.release();
    }
  }

  /** Frees the lock for all who have it; who waits for it is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere || this.whole) return;
    this.close();
    super[Symbol.dispose]();
  }

  /** @internal Its cell is about to be freed: tells those who wait, and takes nothing back from this thread's guards. */
  close(): void {
    const { words, at, home, shared } = this.cell;
    if (shared === undefined) {
      Atomics.store(words, at, NO_MORE); // first, so that nobody begins to wait
      home.wake(at, Number.POSITIVE_INFINITY, { token: CLOSED, passOn: false });
    }
    this.#lapse();
  }

  /** This thread's guards are void: the lock was released by others, or is no more. */
  #lapse(): void {
    while (this.latest) this.forget(this.latest);
  }

  /** @hidden Asked by flow.ts: does that flow of this thread hold it? */
  isHeldBy(flow: number): boolean {
    const { words, at } = this.cell;
    return words[at + LOCK.FLOW] === flow && this.isHeldHere && this.cell.isThere;
  }

  /** @internal Is its owner the one that asks, as far as its kind can tell? */
  get isMine(): boolean {
    return this.isHeldHere;
  }

  /** Does this thread hold it? */
  protected get isHeldHere(): boolean {
    const seen = Atomics.load(this.cell.words, this.cell.at);
    return (seen & TAG) === this.cell.home.self() && !isUnseen(seen);
  }

  /** @hidden Called by a guard that is released. */
  takeBack(guard: Held): void {
    if (!this.forget(guard) && this.#isOwed(guard)) return;
    const { words, at, home, isThere } = this.cell;
    const seen = words[at];
    if (isThere && (seen & TAG) === home.self() && !isUnseen(seen)) this.giveBack();
  }

  /** Is it one of those who have given the lock up for a while? Then it is given back when they have it again. */
  #isOwed(guard: Held): boolean {
    for (const standing of this.suspended) {
      const all: Held[] = [];
      for (let one = standing.latest; one; one = one.below) all.push(one);
      if (!all.includes(guard)) continue;
      standing.latest = undefined;
      for (const one of all.reverse()) {
        if (one === guard) continue;
        one.below = standing.latest;
        standing.latest = one;
      }
      standing.owed++;
      return true;
    }
    return false;
  }

  /** What a wait of this thread was told goes to the next in line. */
  #passOn(token: number): void {
    if (!this.cell.isThere) return;
    if (token === CALLED) this.#passCallOn();
    else if (this.#isGiven && !(token === INHERITED && this.cell.shared)) this.letGo(token === INHERITED);
  }

  /** Is it this thread's, whose code has not gone on with it yet? */
  get #isGiven(): boolean {
    return Atomics.load(this.cell.words, this.cell.at) === (this.cell.home.self() | HANDOVER);
  }

  /** The event loop does not run now: what async waits have been told goes to others. */
  static {
    onBlock(() => {
      for (const entry of told) {
        told.delete(entry);
        entry.lock.#passOn(entry.token);
      }
      return undefined;
    });
  }

  /** @internal Gives the lock up for a while, whatever the level; restore() brings it all back. */
  suspend(): Standing {
    const { words, at } = this.cell;
    const standing: Standing = {
      flow: words[at + LOCK.FLOW],
      levels: words[at + LOCK.LEVELS],
      latest: this.latest,
      owed: 0,
    };
    this.suspended.add(standing);
    this.latest = undefined;
    words[at + LOCK.LEVELS] = 0;
    this.letGo();
    return standing;
  }

  /** @internal */
  async restore(standing: Standing): Promise<void> {
    try {
      this.#resume(standing, await this.#wait(new Flow(this), {}));
    } finally {
      this.suspended.delete(standing);
    }
  }

  /** @internal */
  restoreSync(standing: Standing): void {
    try {
      this.#resume(standing, this.#waitSync({}));
    } finally {
      this.suspended.delete(standing);
    }
  }

  #resume({ flow, levels, latest, owed }: Standing, guard: Held): void {
    this.forget(guard);
    const { words, at } = this.cell;
    words[at + LOCK.FLOW] = flow;
    words[at + LOCK.LEVELS] = levels;
    this.latest = latest;
    for (let one = latest; one && guard.abandoned; one = one.below) one.abandoned = true;
    for (let i = 0; i < owed; i++) this.giveBack();
  }

  /** Acquires it for a flow of this thread. */
  protected acquireAs(flow: Flow, options: WaitOptions | undefined): Promise<Held> {
    const { words, at, home } = this.cell;
    if (options === undefined && this.cell.isThere) {
      if (Atomics.compareExchange(words, at, 0, home.self()) === 0)
        return Promise.resolve(this.take(false, flow.id));
    }
    return this.#wait(flow, options);
  }

  async #wait(flow: Flow, options: WaitOptions = {}): Promise<Held> {
    const timeout = timeoutOf(options);
    const deadline = performance.now() + timeout;
    const { signal } = options;
    signal?.throwIfAborted();
    this.check();
    const { cell } = this;
    const lineage = flow.parent ? flow.parent.lineage() : [];
    for (let wasCalled = false; ; ) {
      this.check();
      const seen = this.#look(wasCalled);
      if (seen === TAKEN) return this.take(false, flow.id);
      if (seen === TAKEN_OVER) return this.takeOver(flow.id);
      let forget: (() => void) | undefined;
      let entry: Told | undefined;
      waits++;
      try {
        const { outcome, token } = await cell.home.park(cell.at, seen, {
          timeout: timeout === 0 ? 0 : Math.max(deadline - performance.now(), 0),
          ...(signal ? { signal } : {}),
          first: wasCalled,
          recheck: () => this.#isWorthwhile(),
          queued: (node, fail) => {
            if (cell.shared === undefined)
              forget = watchWait(node, { flow, lineage, deadline, fail, waitsFor: nameOf(cell, this) });
          },
          woken: token => {
            entry = { lock: this, token };
            told.add(entry);
          },
        });
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        if (outcome === 'woken') {
          if (token === CLOSED) throw this.closed();
          const given = token === CALLED ? undefined : this.#takeGiven(token, flow.id);
          if (given) return given;
          wasCalled = true;
        }
      } catch (error) {
        if (wasCalled) this.#passCallOn();
        throw error;
      } finally {
        forget?.();
        waits--;
        if (entry) told.delete(entry);
      }
    }
  }

  #waitSync(options: { timeout?: number } | undefined): Held {
    const timeout = timeoutOf(options);
    this.check();
    const { cell } = this;
    const { words, at, home } = cell;
    const me = home.self();
    for (let i = 0; i < SPINS; i++)
      if (Atomics.load(words, at) === 0 && Atomics.compareExchange(words, at, 0, me) === 0)
        return this.take(false);
    const deadline = performance.now() + timeout;
    const watch = new BlockedWatch(nameOf(cell, this), deadline);
    for (let wasCalled = false; ; ) {
      this.check();
      const seen = this.#look(wasCalled);
      if (seen === TAKEN) return this.take(false);
      if (seen === TAKEN_OVER) return this.takeOver();
      const inherited = cell.shared && this.#isGiven ? this.#takeGiven(INHERITED) : undefined;
      if (inherited) return inherited;
      try {
        if ((seen & TAG) === me && !isUnseen(seen) && timeout === Number.POSITIVE_INFINITY)
          throw selfDeadlock(nameOf(cell, this));
        const { outcome, token } = home.parkSync(at, seen, {
          timeout: timeout === 0 ? 0 : Math.max(deadline - performance.now(), 0),
          first: wasCalled,
          recheck: () => this.#isWorthwhile(),
          ...(cell.shared === undefined ? { queued: watch.begin, looks: watch.looks } : {}),
        });
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        if (outcome === 'woken') {
          if (token === CLOSED) throw this.closed();
          const given = token === CALLED ? undefined : this.#takeGiven(token);
          if (given) return given;
          wasCalled = true;
        }
      } catch (error) {
        if (wasCalled) this.#passCallOn();
        throw error;
      } finally {
        watch.end();
      }
    }
  }

  /** One look at the word, and what follows from it: the lock, or the word with which to wait. */
  #look(wasCalled: boolean): number {
    const { words, at, home } = this.cell;
    const me = home.self();
    for (;;) {
      const seen = Atomics.load(words, at);
      const owner = seen & TAG;
      if (seen === NO_MORE) throw this.closed();
      if (owner === 0) {
        // Who was called answers for the line: others may still be in it.
        if (Atomics.compareExchange(words, at, seen, wasCalled ? me | LINE : me) === seen) return TAKEN;
      } else if (home.isKnownDead(owner)) {
        if (Atomics.compareExchange(words, at, seen, me | LINE) === seen) return TAKEN_OVER;
      } else {
        if (isUnseen(seen)) return seen; // whoever it is given to answers for the line
        const wanted = seen | LINE | (wasCalled ? HANDOVER : 0);
        if (seen === wanted || Atomics.compareExchange(words, at, seen, wanted) === seen) return wanted;
      }
    }
  }

  /** After somebody's death: is this wait still as it was begun, with a live owner who knows of it? */
  #isWorthwhile(): boolean {
    const { words, at, home } = this.cell;
    for (;;) {
      const seen = Atomics.load(words, at);
      if ((seen & TAG) === 0 || !this.cell.isThere) return false;
      if (home.isKnownDead(seen & TAG)) {
        if (!this.#bequeath(seen)) return false;
      } else if (
        (seen & LINE) !== 0 ||
        isUnseen(seen) ||
        Atomics.compareExchange(words, at, seen, seen | LINE) === seen
      ) {
        return true;
      }
    }
  }

  /** Its owner, as `seen`, has died: gives the lock to the one that waits longest. False: nobody waits. */
  #bequeath(seen: number): boolean {
    const { words, at, home } = this.cell;
    let isThereAny = false;
    home.wake(at, 1, {
      token: INHERITED,
      passOn: false,
      choose: () => {
        isThereAny = true;
        return Atomics.load(words, at) === seen; // another may have done so already
      },
      settle: ([next]) => {
        if (next) Atomics.compareExchange(words, at, seen, next.tag | HANDOVER);
      },
    });
    return isThereAny;
  }

  /** Takes the lock that was given to this thread. Undefined: it has been passed on, or released by others. */
  #takeGiven(token: number, flow?: number): Held | undefined {
    const { words, at, home } = this.cell;
    const given = home.self() | HANDOVER;
    const mine = home.self() | LINE;
    if (!this.cell.isThere || Atomics.compareExchange(words, at, given, mine) !== given) return undefined;
    return token === INHERITED ? this.takeOver(flow) : this.take(false, flow);
  }

  /** This one was called and gives up: so another must answer for the line. */
  #passCallOn(): void {
    const { words, at, home } = this.cell;
    while (this.cell.isThere) {
      const seen = Atomics.load(words, at);
      if ((seen & TAG) === 0) {
        home.wake(at, 1, { token: CALLED });
        return;
      }
      if (isUnseen(seen) || Atomics.compareExchange(words, at, seen, seen | LINE) === seen) return;
    }
  }

  /** The lock is this thread's: notes whose, and gives the guard. */
  protected take(abandoned: boolean, flow: number = this.#currentFlow()): Held {
    this.cell.words[this.cell.at + LOCK.FLOW] = flow;
    if (this.latest) this.#lapse();
    return this.guardFor(abandoned);
  }

  #currentFlow(): number {
    const flow = currentFlow();
    flow?.alsoHolds(this);
    return flow?.id ?? THREAD;
  }

  protected guardFor(abandoned: boolean): Held {
    nowHeld();
    this.latest = new Held(this, abandoned, this.latest);
    return this.latest;
  }

  /** The same after a dead owner. */
  protected takeOver(flow?: number): Held {
    this.cell.words[this.cell.at + LOCK.LEVELS] = 0;
    return this.take(true, flow);
  }

  /** A guard of this thread's is void. Was it one of those that count now? */
  protected forget(guard: Held | undefined): boolean {
    if (guard === undefined) return false;
    guard.lapse();
    nowGivenBack();
    if (this.latest === guard) {
      this.latest = guard.below;
      return true;
    }
    let above = this.latest;
    while (above !== undefined && above.below !== guard) above = above.below;
    if (above) above.below = guard.below;
    return above !== undefined;
  }

  /** What a guard's release comes to. */
  protected giveBack(): void {
    this.letGo();
  }

  /** Gives the lock to who asked for it, or to nobody and calls who waits longest. `inherited`: as a dead owner's. */
  protected letGo(inherited = false): void {
    const { words, at, home } = this.cell;
    const me = home.self();
    if (Atomics.compareExchange(words, at, me, 0) === me) return;
    for (;;) {
      const seen = Atomics.load(words, at);
      if ((seen & TAG) === 0) return; // two released it at once
      if ((seen & HANDOVER) !== 0) {
        home.wake(at, 1, {
          token: inherited ? INHERITED : GIVEN,
          passOn: false, // the word says whose it is
          settle: ([next]) =>
            Atomics.store(words, at, next ? next.tag | HANDOVER : inherited ? NOBODY | LINE : 0),
        });
        return;
      }
      if (Atomics.compareExchange(words, at, seen, 0) !== seen) continue;
      if ((seen & LINE) !== 0) home.wake(at, 1, { token: CALLED });
      return;
    }
  }

  protected notHeld(act: string): LockError {
    return new LockError(`Cannot ${act} ${nameOf(this.cell, this)} as nobody holds it: acquire() it first`);
  }

  #tooLate(timeout: number): TimeoutError {
    return new TimeoutError(
      `Cannot acquire ${nameOf(this.cell, this)} as it was held for ${timeout} ms: allow more time, or see who keeps it`,
    );
  }
}

/** Is the lock given to a thread whose code has not gone on with it yet? */
function isUnseen(word: number): boolean {
  return (word & (LINE | HANDOVER)) === HANDOVER;
}

// What waits in the parent were told is the parent's.
onFork(() => ({
  take: () => {
    told.clear();
    waits = 0;
  },
}));

// Who leaves may have been given a lock that it never sees.
onDepart(() => waits > 0);

registerBlockers(0, word => {
  const seen = Atomics.load(commons.words, word);
  const owner = { tag: seen & TAG, flow: isUnseen(seen) ? 0 : commons.words[word + LOCK.FLOW] };
  return owner.tag === 0 ? [] : [owner];
});

registerShared('Lock', Lock, { open: name => new Lock({ name }) });
