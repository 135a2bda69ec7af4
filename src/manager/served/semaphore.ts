import { LockError, TimeoutError } from '../../errors/errors.js';
import { timeoutOf } from '../../wait/options.js';
import { Line } from './line.js';
import type { Grant } from './lock.js';
import { caller, type Estate, type Session } from './session.js';

const MOST = 2 ** 31 - 1;

/** The semaphore of a manager. Who waits is served in order of arrival. */
export class ServedSemaphore implements Estate {
  /** Permits that nobody holds. */
  #free: number;
  /** Who holds which, in the order of acquisition. */
  readonly #holders = new Map<number, Session>();
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

  acquire(options?: { timeout?: number }): Grant | Promise<Grant> {
    const timeout = timeoutOf(options);
    const session = caller();
    if (this.#free > 0) return this.#give(session);
    if (timeout === 0) throw this.#tooLate(timeout);
    return this.#line.wait(session, undefined, {
      timeout,
      tooLate: () => {
        throw this.#tooLate(timeout);
      },
    });
  }

  tryAcquire(): Grant | null {
    const session = caller();
    return this.#free > 0 ? this.#give(session) : null;
  }

  release(n = 1): void {
    if (!Number.isInteger(n) || n < 1)
      throw new RangeError(`Cannot release ${n} permits: give a whole number from 1 on`);
    const session = caller();
    const held = this.#holders.size;
    const surplus = Math.max(n - held, 0);
    if (surplus > this.room(this.#free + held))
      throw new LockError(
        `Cannot release ${n} permits of this ${this.kind} as only ${held} are held: release what was acquired`,
      );
    for (let i = surplus; i < n; i++) this.#takeFrom(this.#oldestOf(session));
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

  inherit(from: Session): void {
    for (const [serial, session] of [...this.#holders]) {
      if (session !== from) continue;
      this.#takeFrom(serial);
      this.#free++;
    }
    this.#deaths++;
    this.#grant();
  }

  /** How many permits may be added to so many. */
  protected room(permits: number): number {
    return MOST - permits;
  }

  #oldestOf(session: Session): number {
    let oldest: number | undefined;
    for (const [serial, holder] of this.#holders) {
      if (holder === session) return serial;
      oldest ??= serial;
    }
    return oldest as number;
  }

  #takeFrom(serial: number): void {
    const session = this.#holders.get(serial) as Session;
    this.#holders.delete(serial);
    for (const other of this.#holders.values()) if (other === session) return;
    session.estates.delete(this);
  }

  #give(session: Session): Grant {
    this.#free--;
    const serial = ++this.#serial;
    this.#holders.set(serial, session);
    session.estates.add(this);
    const abandoned = this.#deaths > 0;
    if (abandoned) this.#deaths--;
    return { serial, abandoned };
  }

  #grant(): void {
    for (let next = this.#line.first; next && this.#free > 0; next = this.#line.first)
      next.resolve(this.#give(next.session));
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
