import { LockError, TimeoutError } from '../../errors/errors.js';
import type { Guard } from '../../sync/guard.js';
import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { ServedGuard } from './guard.js';
import { Line } from './line.js';
import type { Grant } from './lock.js';
import { caller, type Estate, type Owner } from './owner.js';

const MOST = 2 ** 31 - 1;

/** The semaphore of a manager. Who waits is served in order of arrival. */
export class ServedSemaphore implements Estate {
  /** Permits that nobody holds. */
  #free: number;
  /** Who holds which, in the order of acquisition. */
  readonly #holders = new Map<number, Owner>();
  readonly #line = new Line<void, Grant>();
  #serial = 0;
  /** Deaths of holders that nobody has been told of yet. */
  #deaths = 0;

  constructor(value = 1) {
    if (typeof value !== 'number')
      throw new TypeError(`Cannot make a ${this.kind} of ${typeof value}: give the number of permits`);
    if (!Number.isInteger(value) || value < 0 || value > MOST)
      throw new RangeError(
        `Cannot make a ${this.kind} of ${value} permits: give a whole number from 0 to ${MOST}`,
      );
    this.#free = value;
  }

  protected get kind(): string {
    return 'Semaphore';
  }

  async acquire(options?: WaitOptions): Promise<Guard> {
    return new ServedGuard(this, await this.grant(options));
  }

  tryAcquire(): Guard | null {
    const grant = this.tryGrant();
    return grant && new ServedGuard(this, grant);
  }

  /** acquire() for proxies, whose guards are elsewhere. */
  grant(options?: WaitOptions): Grant | Promise<Grant> {
    const timeout = timeoutOf(options);
    const owner = caller();
    if (this.#free > 0) return this.#give(owner);
    if (timeout === 0) throw this.#tooLate(timeout);
    return this.#line.wait(owner, undefined, {
      timeout,
      signal: options?.signal,
      tooLate: () => {
        throw this.#tooLate(timeout);
      },
    });
  }

  tryGrant(): Grant | null {
    const owner = caller();
    return this.#free > 0 ? this.#give(owner) : null;
  }

  release(n = 1): void {
    if (!Number.isInteger(n) || n < 1)
      throw new RangeError(`Cannot release ${n} permits: give a whole number from 1 on`);
    const owner = caller();
    const held = this.#holders.size;
    const surplus = Math.max(n - held, 0);
    if (surplus > this.room(this.#free + held))
      throw new LockError(
        `Cannot release ${n} permits of this ${this.kind} as only ${held} are held: release what was acquired`,
      );
    for (let i = surplus; i < n; i++) this.#takeFrom(this.#oldestOf(owner));
    this.#free += n;
    this.#grant();
  }

  /** One acquisition is given back, unless that was done by other means. */
  giveBack(serial: number): void {
    if (!this.#holders.has(serial)) return;
    this.#takeFrom(serial);
    this.#free++;
    this.#grant();
  }

  getValue(): number {
    return this.#free;
  }

  inherit(from: Owner): void {
    for (const [serial, owner] of [...this.#holders]) {
      if (owner !== from) continue;
      this.#takeFrom(serial);
      this.#free++;
    }
    this.#deaths++;
    this.#grant();
  }

  /** Nobody has it any more. */
  [Symbol.dispose](): void {
    for (const owner of this.#holders.values()) owner.estates.delete(this);
  }

  /** How many permits may be added to so many. */
  protected room(permits: number): number {
    return MOST - permits;
  }

  #oldestOf(owner: Owner): number {
    let oldest: number | undefined;
    for (const [serial, holder] of this.#holders) {
      if (holder === owner) return serial;
      oldest ??= serial;
    }
    return oldest as number;
  }

  #takeFrom(serial: number): void {
    const owner = this.#holders.get(serial) as Owner;
    this.#holders.delete(serial);
    for (const other of this.#holders.values()) if (other === owner) return;
    owner.estates.delete(this);
  }

  #give(owner: Owner): Grant {
    this.#free--;
    const serial = ++this.#serial;
    this.#holders.set(serial, owner);
    owner.estates.add(this);
    const abandoned = this.#deaths > 0;
    if (abandoned) this.#deaths--;
    return { serial, abandoned };
  }

  #grant(): void {
    for (let next = this.#line.first; next && this.#free > 0; next = this.#line.first)
      next.resolve(this.#give(next.owner));
  }

  #tooLate(timeout: number): TimeoutError {
    return new TimeoutError(
      `Cannot acquire this ${this.kind} as it had no permit for ${timeout} ms: allow more time, or see who keeps them`,
    );
  }
}

/** One that never has more permits than it began with. */
export class ServedBoundedSemaphore extends ServedSemaphore {
  protected override get kind(): string {
    return 'BoundedSemaphore';
  }

  protected override room(): number {
    return 0;
  }
}
