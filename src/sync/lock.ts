import { LockError, TimeoutError } from '../errors/errors.js';
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
 *
 * Who is called leaves the line and competes with those who come running: so an owner that takes the lock again and again
 * does so at full speed, while the one called wakes up. If it finds the lock taken it asks for HANDOVER and waits again,
 * now first in line, and gets the lock at the next release. Nobody is overtaken twice. One who was called is
 * answerable for the rest of the line: it marks the lock LINE as it takes it, and passes the call on if it gives up.
 *
 * Sources: three states after U. Drepper, "Futexes Are Tricky"; the hand-over to one who was called in vain after the starvation
 * mode of Go's sync.Mutex.
 *
 * An owner that is dead is found by its tag. Each death makes all who wait look at the word again.
 */
const LINE = 1 << 30;
const HANDOVER = 1 << 31;
const TAG = LINE - 1;

/** Words of a lock. FLOW: of its owner's flows, which one; 0: not told yet. LEVELS: an RLock's, less one. */
export const LOCK = { STATE: 0, FLOW: 1, LEVELS: 2, WORDS: 4 } as const;
const CELL_BYTES = 64;

/** What a waiter is told when it is woken. */
const CALLED = 0;
const GIVEN = 1;
const CLOSED = 2;

/** What a look at the word may come to, besides a word to wait at, which is never one of these. */
const TAKEN = 0;
const TAKEN_OVER = 1;

const SPINS = 100;

/** How an owner stood before it gave the lock up for a while. */
export interface Standing {
  readonly flow: number;
  readonly levels: number;
  readonly latest: Held | undefined;
}

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
 */
export class Lock extends SharedObject implements Guarded<Held>, Holding {
  /** The latest of this thread's guards that are not released. */
  protected latest: Held | undefined = undefined;

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

  /** The same, blocking this thread. @throws {DeadlockError} Also if this thread holds it and no `timeout` is given. */
  acquireSync(options?: { timeout?: number }): Guard {
    const { words, at, home } = this.cell;
    const me = home.self();
    if (this.cell.isThere && Atomics.compareExchange(words, at, 0, me) === 0) return this.take(false);
    return this.#waitSync(options);
  }

  /** Takes the lock if that can be done without waiting; else null. */
  tryAcquire(): Guard | null {
    this.check();
    const { words, at, home } = this.cell;
    const me = home.self();
    const seen = Atomics.compareExchange(words, at, 0, me);
    if (seen === 0) return this.take(false);
    if (!home.isKnownDead(seen & TAG)) return null;
    return Atomics.compareExchange(words, at, seen, me | LINE) === seen ? this.takeOver() : null;
  }

  /** Gives the lock back, whoever holds it. @throws {LockError} Nobody does. */
  release(): void {
    this.check();
    const { words, at, home } = this.cell;
    const owner = Atomics.load(words, at) & TAG;
    if (owner === 0) throw this.notHeld('release');
    if (owner === home.self()) this.forget(this.latest);
    this.letGo();
  }

  /** Does anyone hold it? Stale once read. */
  locked(): boolean {
    this.check();
    const owner = Atomics.load(this.cell.words, this.cell.at) & TAG;
    return owner !== 0 && !this.cell.home.isKnownDead(owner);
  }

  /** Runs `fn` with the lock held, and releases it when `fn`, or the promise it returned, has ended. */
  async runExclusive<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    const flow = new Flow(this);
    const guard = await this.acquireAs(flow, options);
    try {
      return await flow.run(fn);
    } finally {
      guard.release();
    }
  }

  /** The same, blocking this thread while it waits. `fn` must not be async: the lock is released when it returns. */
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
    if (this.cell.shared === undefined)
      this.cell.home.wake(this.cell.at, Number.POSITIVE_INFINITY, { token: CLOSED });
    while (this.latest) this.forget(this.latest);
  }

  /** @internal */
  isHeldBy(flow: number): boolean {
    const { words, at, home } = this.cell;
    return (
      words[at + LOCK.FLOW] === flow && (Atomics.load(words, at) & TAG) === home.self() && this.cell.isThere
    );
  }

  /** @internal Is its owner the one that asks, as far as its kind can tell? */
  get isMine(): boolean {
    return this.isHeldHere;
  }

  /** Does this thread hold it? */
  protected get isHeldHere(): boolean {
    return (Atomics.load(this.cell.words, this.cell.at) & TAG) === this.cell.home.self();
  }

  /** @internal */
  takeBack(guard: Held): void {
    this.forget(guard);
    const { words, at, home, isThere } = this.cell;
    if (isThere && (words[at] & TAG) === home.self()) this.giveBack();
  }

  /** @internal Gives the lock up for a while, whatever the level; restore() brings it all back. */
  suspend(): Standing {
    const { words, at } = this.cell;
    const standing = {
      flow: words[at + LOCK.FLOW],
      levels: words[at + LOCK.LEVELS],
      latest: this.latest,
    };
    this.latest = undefined;
    words[at + LOCK.LEVELS] = 0;
    this.letGo();
    return standing;
  }

  /** @internal */
  async restore(standing: Standing): Promise<void> {
    this.#resume(standing, await this.#wait(new Flow(this), {}));
  }

  /** @internal */
  restoreSync(standing: Standing): void {
    this.#resume(standing, this.#waitSync({}));
  }

  #resume({ flow, levels, latest }: Standing, guard: Held): void {
    this.forget(guard);
    const { words, at } = this.cell;
    words[at + LOCK.FLOW] = flow;
    words[at + LOCK.LEVELS] = levels;
    this.latest = latest;
  }

  /** Acquires it for a flow of this thread. */
  protected acquireAs(flow: Flow, options: WaitOptions | undefined): Promise<Held> {
    const { words, at, home } = this.cell;
    if (options?.signal?.aborted !== true && this.cell.isThere) {
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
      const seen = this.#look(wasCalled);
      if (seen === TAKEN) return this.take(false, flow.id);
      if (seen === TAKEN_OVER) return this.takeOver(flow.id);
      let forget: (() => void) | undefined;
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
        });
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        if (outcome === 'woken') {
          if (token === CLOSED || !cell.isThere) throw this.closed();
          if (token === GIVEN && this.isHeldHere) return this.take(false, flow.id);
          wasCalled = true;
        }
      } catch (error) {
        if (wasCalled) this.#passCallOn();
        throw error;
      } finally {
        forget?.();
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
      const seen = this.#look(wasCalled);
      if (seen === TAKEN) return this.take(false);
      if (seen === TAKEN_OVER) return this.takeOver();
      if ((seen & TAG) === me && timeout === Number.POSITIVE_INFINITY) throw selfDeadlock(nameOf(cell, this));
      try {
        const { outcome, token } = home.parkSync(at, seen, {
          timeout: timeout === 0 ? 0 : Math.max(deadline - performance.now(), 0),
          first: wasCalled,
          recheck: () => this.#isWorthwhile(),
          ...(cell.shared === undefined ? { queued: watch.begin, looks: watch.looks } : {}),
        });
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        if (outcome === 'woken') {
          if (token === CLOSED || !cell.isThere) throw this.closed();
          if (token === GIVEN && this.isHeldHere) return this.take(false);
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
      if (owner === 0) {
        // Who was called answers for the line: others may still be in it.
        if (Atomics.compareExchange(words, at, seen, wasCalled ? me | LINE : me) === seen) return TAKEN;
      } else if (home.isKnownDead(owner)) {
        if (Atomics.compareExchange(words, at, seen, me | LINE) === seen) return TAKEN_OVER;
      } else {
        const wanted = seen | LINE | (wasCalled ? HANDOVER : 0);
        if (seen === wanted || Atomics.compareExchange(words, at, seen, wanted) === seen) return wanted;
      }
    }
  }

  /** After somebody's death: is this wait still as it was begun, with a live owner who knows of it? */
  #isWorthwhile(): boolean {
    const seen = Atomics.load(this.cell.words, this.cell.at);
    return (seen & LINE) !== 0 && !this.cell.home.isKnownDead(seen & TAG);
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
      if (Atomics.compareExchange(words, at, seen, seen | LINE) === seen) return;
    }
  }

  /** The lock is this thread's: notes whose, and gives the guard. */
  protected take(abandoned: boolean, flow: number = currentFlow()?.id ?? THREAD): Held {
    this.cell.words[this.cell.at + LOCK.FLOW] = flow;
    return this.guardFor(abandoned);
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

  /** A guard of this thread's is void. */
  protected forget(guard: Held | undefined): void {
    if (guard === undefined) return;
    guard.lapse();
    nowGivenBack();
    if (this.latest === guard) {
      this.latest = guard.below;
      return;
    }
    let above = this.latest;
    while (above !== undefined && above.below !== guard) above = above.below;
    if (above) above.below = guard.below;
  }

  /** What a guard's release comes to. */
  protected giveBack(): void {
    this.letGo();
  }

  /** Gives the lock to who asked for it, or to nobody and calls who waits longest. */
  protected letGo(): void {
    const { words, at, home } = this.cell;
    const me = home.self();
    words[at + LOCK.FLOW] = 0; // before the lock is free, so that nobody takes the old flow for the next owner's
    if (Atomics.compareExchange(words, at, me, 0) === me) return;
    for (;;) {
      const seen = Atomics.load(words, at);
      if ((seen & TAG) === 0) return; // two released it at once
      if ((seen & HANDOVER) !== 0) {
        home.wake(at, 1, {
          token: GIVEN,
          passOn: false, // the word says whose it is
          settle: ([next], more) => Atomics.store(words, at, next ? next.tag | (more ? LINE : 0) : 0),
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

registerBlockers(0, word => {
  const owner = { tag: Atomics.load(commons.words, word) & TAG, flow: commons.words[word + LOCK.FLOW] };
  return owner.tag === 0 ? [] : [owner];
});

registerShared('Lock', Lock, { open: name => new Lock({ name }) });
