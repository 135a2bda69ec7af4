import { LockError } from '../errors/errors.js';
import type { WaitOptions } from '../wait/options.js';
import { Cell } from './cell.js';
import { newFlowId } from './flow.js';
import type { Guard } from './guard.js';
import { type Grant, Holders } from './holders.js';
import { type NamedOptions, nameOf, openCell } from './naming.js';
import { type Rules, Shareable } from './shareable.js';
import { registerShared } from './shared-object.js';

const BYTES = 256;
const NAMED_BYTES = 65_536;
const MOST = 2 ** 31 - 1;

/**
 * All permits are alike. The table's first word says how many there are, held or not; its second, how many of those that are
 * held by sleepers who do not know yet have been paid for. Who wakes up to one of those has acquired it, and owes nothing.
 */
const PERMIT: Grant = { mode: 1, low: 0, high: 0 };
const RULES: Rules = {
  kind: 0,
  allows: (_, table, granted) => freeOf(table) - granted.length > 0,
  conflict: () => true,
  isForOne: () => true,
};

function permitsOf(table: Holders): number {
  return table.words[table.first];
}

/** How many are owed. */
function owedOf(table: Holders): number {
  return table.held - table.words[table.second];
}

function freeOf(table: Holders): number {
  return permitsOf(table) - owedOf(table);
}

/**
 * A number of permits, for so many at once among all threads and processes that have it.
 *
 * Order: those who wait are served in order of arrival.
 *
 * release() may be called by anyone, also by one who has acquired nothing, which adds a permit; so it serves for signals as
 * well. What was acquired is owed by its guard until that, or release(), gives it back: a release() pays for a permit of the
 * thread's own first, else for somebody's.
 *
 * Death: permits that a thread held when it ended come back; the guard of who gets one then has `abandoned` true.
 *
 * Python: `multiprocessing.Semaphore`, whose permits are lost with their holder.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Semaphore } from 'manyhands';
 *
 * using seats = new Semaphore(2);
 * const first = await seats.acquire();
 * const second = await seats.acquire();
 * assert.equal(seats.tryAcquire(), null);
 * first.release();
 * assert.equal(seats.getValue(), 1);
 * second.release();
 * ```
 */
export class Semaphore extends Shareable {
  /**
   * A new semaphore, or with `{ name }` the one of that name if there is one.
   * @param value Permits to begin with, default 1; of a named one that is there already, nothing is changed.
   * @throws {TypeError | RangeError} `value` or the name is none.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(value?: number, options?: NamedOptions);
  constructor(value: number | Cell = 1, options: NamedOptions = {}) {
    super(value instanceof Cell ? value : cellFor('Semaphore', value, options), RULES);
  }

  /**
   * Waits for a permit.
   * @throws {TimeoutError} There was none when `timeout` had passed. `timeout: 0` does not wait.
   */
  acquire(options?: WaitOptions): Promise<Guard> {
    return this.obtain(PERMIT, options);
  }

  /** {@link acquire | acquire()}, blocking this thread. */
  acquireSync(options?: { timeout?: number }): Guard {
    return this.obtainSync(PERMIT, newFlowId(), options);
  }

  /** Takes a permit if there is one and nobody waits for it; else null. */
  tryAcquire(): Guard | null {
    return this.obtainNow(PERMIT, newFlowId());
  }

  /** Gives `n` permits. @throws {LockError} There would be too many. */
  release(n = 1): void {
    this.check();
    if (!Number.isInteger(n) || n < 1)
      throw new RangeError(`Cannot release ${n} permits: give a whole number from 1 on`);
    this.locked(() => {
      const { holders } = this;
      if (this.reclaim()) this.grant();
      const owed = owedOf(holders);
      const surplus = Math.max(n - owed, 0);
      if (surplus > this.room(permitsOf(holders)))
        throw new LockError(
          `Cannot release ${n} permits of ${nameOf(this.cell, this)} as only ${owed} are held: release what was acquired`,
        );
      for (let i = surplus; i < n; i++) this.#payBack();
      if (surplus > 0) {
        Atomics.add(holders.words, holders.first, surplus);
        holders.changed();
      }
      this.grant();
    });
  }

  /** Permits that nobody holds. Stale once read. */
  getValue(): number {
    return this.locked(() => {
      if (this.reclaim()) this.grant();
      return freeOf(this.holders);
    });
  }

  protected override facts(): object {
    return { value: freeOf(this.holders) };
  }

  /** How many permits may be added to so many. */
  protected room(permits: number): number {
    return MOST - permits;
  }

  protected override reclaim(): boolean {
    const reclaimed = super.reclaim();
    if (reclaimed) this.#limitPaid();
    return reclaimed;
  }

  protected override recount(): void {
    super.recount();
    this.#limitPaid();
  }

  protected override isPaid(place: number): boolean {
    const { holders } = this;
    if (holders.words[holders.second] === 0) return false;
    this.#setPaid(holders.words[holders.second] - 1);
    holders.remove(place);
    return true;
  }

  #payBack(): void {
    for (let guard = this.guards.oldest; guard; guard = this.guards.oldest) {
      this.forget(guard);
      if (!this.isEntered(guard)) continue; // paid by somebody else
      this.holders.remove(guard.place);
      return;
    }
    const place = this.holders.find(({ flow }) => flow !== 0);
    if (place !== 0) this.holders.remove(place);
    else this.#setPaid(this.holders.words[this.holders.second] + 1);
  }

  #setPaid(count: number): void {
    Atomics.store(this.holders.words, this.holders.second, count);
    this.holders.changed();
  }

  /** After a death: no more can be paid for than are held by sleepers. */
  #limitPaid(): void {
    const paid = this.holders.words[this.holders.second];
    if (paid === 0) return;
    const sleepers = this.holders.all().filter(({ flow }) => flow === 0).length;
    if (paid > sleepers) this.#setPaid(sleepers);
  }
}

/**
 * A semaphore that never has more permits than it began with: a release too many is an error.
 *
 * Python: `multiprocessing.BoundedSemaphore`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BoundedSemaphore, LockError } from 'manyhands';
 *
 * using seats = new BoundedSemaphore(2);
 * using guard = await seats.acquire();
 * guard.release();
 * assert.throws(() => seats.release(), LockError); // that was one too many
 * ```
 */
export class BoundedSemaphore extends Semaphore {
  /**
   * A new one, or with `{ name }` the one of that name if there is one.
   * @param value Permits to begin with, default 1, and never more.
   * @throws {TypeError | RangeError} `value` or the name is none.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(value?: number, options?: NamedOptions);
  constructor(value: number | Cell = 1, options: NamedOptions = {}) {
    super((value instanceof Cell ? value : cellFor('BoundedSemaphore', value, options)) as unknown as number);
  }

  protected override room(): number {
    return 0;
  }
}

function cellFor(kind: string, value: number, options: NamedOptions): Cell {
  if (typeof value !== 'number')
    throw new TypeError(`Cannot make a ${kind} of ${typeof value}: give the number of permits`);
  if (!Number.isInteger(value) || value < 0 || value > MOST)
    throw new RangeError(`Cannot make a ${kind} of ${value} permits: give a whole number from 0 to ${MOST}`);
  return openCell(kind, options, {
    bytes: BYTES,
    namedBytes: NAMED_BYTES,
    fill: (words, at, bytes) => {
      Holders.prepare(words, at, bytes);
      words[new Holders(words, at).first] = value;
    },
  });
}

registerShared('Semaphore', Semaphore, { open: name => new Semaphore(1, { name }) });
registerShared('BoundedSemaphore', BoundedSemaphore, { open: name => new BoundedSemaphore(1, { name }) });
