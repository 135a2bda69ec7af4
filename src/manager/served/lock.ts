import { LockError, TimeoutError } from '../../errors/errors.js';
import type { Guard } from '../../sync/guard.js';
import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { ServedGuard } from './guard.js';
import { Line, type Patience } from './line.js';
import { caller, type Estate, type Owner } from './owner.js';

/** What an acquisition comes to: its number, by which the guard over there gives it back, and whether the last owner died with it. */
export interface Grant {
  readonly serial: number;
  readonly abandoned: boolean;
}

/** How a wait is given up for a while. */
export interface Standing {
  /** Acquisitions of one owner that are not released. */
  readonly serials: number[];
}

export const FOR_EVER = Number.POSITIVE_INFINITY;

/** The lock of a manager. Its owner is a client; it goes to those who wait in order of arrival, and nobody comes between. */
export class ServedLock implements Estate {
  protected owner: Owner | undefined;
  #standing: Standing = { serials: [] };
  /** Those of owners that have given it up for a while. */
  readonly #suspended = new Set<Standing>();
  readonly #line = new Line<Standing, Grant>();
  #serial = 0;
  /** Did its last owner die with it? */
  #isAbandoned = false;

  protected get kind(): string {
    return 'Lock';
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
    if (this.owner === undefined) return this.#give(owner, { serials: [++this.#serial] });
    if (this.isReentrant(owner)) return this.#again();
    if (timeout === 0) throw this.#tooLate(timeout);
    return this.#queue(owner, { serials: [++this.#serial] }, { timeout, signal: options?.signal });
  }

  tryGrant(): Grant | null {
    const owner = caller();
    if (this.owner === undefined) return this.#give(owner, { serials: [++this.#serial] });
    return this.isReentrant(owner) ? this.#again() : null;
  }

  /** The latest acquisition is given back, whoever asks. */
  release(): void {
    if (this.owner === undefined) throw this.notHeld();
    this.#standing.serials.pop();
    if (this.#standing.serials.length === 0) this.#letGo(false);
  }

  async runExclusive<T>(fn: () => T | PromiseLike<T>, options?: WaitOptions): Promise<T> {
    const guard = await this.acquire(options);
    try {
      return await fn();
    } finally {
      guard.release();
    }
  }

  /** One acquisition is given back, unless that was done by other means. */
  giveBack(serial: number): void {
    if (remove(this.#standing.serials, serial)) {
      if (this.#standing.serials.length === 0) this.#letGo(false);
      return;
    }
    for (const standing of this.#suspended) if (remove(standing.serials, serial)) return;
  }

  locked(): boolean {
    return this.owner !== undefined;
  }

  /** Is it this client's, who is the one that may use it as its own? */
  isHeldBy(owner: Owner): boolean {
    return this.owner === owner;
  }

  /** Its owner gives it up for a while, whatever the level. */
  suspend(): Standing {
    const standing = this.#standing;
    this.#suspended.add(standing);
    this.#letGo(false);
    return standing;
  }

  /** It is had again as it was: however long that takes, unless the client goes. */
  async restore(owner: Owner, standing: Standing): Promise<void> {
    try {
      if (owner.isOver) throw new LockError(`Cannot have this ${this.kind} back as its client has gone`);
      if (this.owner === undefined) this.#give(owner, standing);
      else await this.#queue(owner, standing, { timeout: FOR_EVER, isAbortable: false });
    } finally {
      this.#suspended.delete(standing);
    }
    if (standing.serials.length === 0) this.#letGo(false); // its guards were released meanwhile
  }

  inherit(): void {
    this.#letGo(true);
  }

  /** Nobody has it any more. */
  [Symbol.dispose](): void {
    this.owner?.estates.delete(this);
  }

  protected isReentrant(_session: Owner): boolean {
    return false;
  }

  protected notHeld(): LockError {
    return new LockError(`Cannot release this ${this.kind} as nobody holds it: acquire() it first`);
  }

  #again(): Grant {
    this.#standing.serials.push(++this.#serial);
    return { serial: this.#serial, abandoned: false };
  }

  #queue(owner: Owner, standing: Standing, patience: Omit<Patience<Grant>, 'tooLate'>): Promise<Grant> {
    return this.#line.wait(owner, standing, {
      ...patience,
      tooLate: () => {
        throw this.#tooLate(patience.timeout);
      },
    });
  }

  #give(owner: Owner, standing: Standing): Grant {
    const abandoned = this.#isAbandoned;
    this.#isAbandoned = false;
    this.owner = owner;
    this.#standing = standing;
    owner.estates.add(this);
    return { serial: standing.serials[0] ?? 0, abandoned };
  }

  /** To the one that has waited longest. */
  #letGo(isAbandoned: boolean): void {
    this.owner?.estates.delete(this);
    this.owner = undefined;
    this.#standing = { serials: [] };
    if (isAbandoned) this.#isAbandoned = true;
    const next = this.#line.first;
    if (next) next.resolve(this.#give(next.owner, next.note));
  }

  #tooLate(timeout: number): TimeoutError {
    return new TimeoutError(
      `Cannot acquire this ${this.kind} as it was held for ${timeout} ms: allow more time, or see who keeps it`,
    );
  }
}

function remove(serials: number[], serial: number): boolean {
  const index = serials.lastIndexOf(serial);
  if (index >= 0) serials.splice(index, 1);
  return index >= 0;
}
