import { type Abortable, unwatchAbort, watchAbort } from '../../wait/abort.js';
import { atDeadline } from '../../wait/deadlines.js';
import { currentCall } from '../call.js';
import type { Owner } from './owner.js';

/** How a wait is to end if nobody ends it. */
export interface Patience<R> {
  readonly timeout: number;
  /** Given by code of the server's own; of other callers the call has one. */
  readonly signal?: AbortSignal | undefined;
  /** False: it goes on, however the call's caller thinks of it, while there is one. Default true. */
  readonly isAbortable?: boolean;
  /** What it comes to when the time has run out. May throw. */
  tooLate(): R;
}

/** One that waits for an `R`. Settling it, either way, takes it out of its line. */
export class Waiter<N, R> implements Abortable {
  readonly promise: Promise<R>;
  readonly owner: Owner;
  /** What it waits with. */
  readonly note: N;
  readonly #leave: (waiter: Waiter<N, R>) => boolean;
  readonly #gaveUp: () => void;
  #resolve!: (value: R | PromiseLike<R>) => void;
  #reject!: (reason: unknown) => void;
  readonly #signal: AbortSignal | undefined;
  #stopTimer: (() => void) | undefined;

  constructor(
    owner: Owner,
    note: N,
    signal: AbortSignal | undefined,
    { timeout, tooLate }: Patience<R>,
    leave: (waiter: Waiter<N, R>) => boolean,
    gaveUp: () => void,
  ) {
    this.owner = owner;
    this.note = note;
    this.#leave = leave;
    this.#gaveUp = gaveUp;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    owner.waits.add(this);
    this.#signal = signal;
    if (signal) watchAbort(signal, this);
    if (timeout !== Number.POSITIVE_INFINITY)
      this.#stopTimer = atDeadline(performance.now() + timeout, () => this.#expire(tooLate), true);
  }

  resolve(value: R | PromiseLike<R>): void {
    if (this.#depart()) this.#resolve(value);
  }

  reject(reason: unknown): void {
    if (this.#depart()) this.#reject(reason);
  }

  /** The call was given up, or its client is gone. */
  abort(reason: unknown): void {
    if (!this.#depart()) return;
    this.#reject(reason);
    this.#gaveUp();
  }

  #expire(tooLate: () => R): void {
    if (!this.#depart()) return;
    try {
      this.#resolve(tooLate());
    } catch (error) {
      this.#reject(error);
    }
    this.#gaveUp();
  }

  #depart(): boolean {
    if (!this.#leave(this)) return false;
    this.owner.waits.delete(this);
    if (this.#signal) unwatchAbort(this.#signal, this);
    this.#stopTimer?.();
    return true;
  }
}

/** Those who wait for the same, in order of arrival. */
export class Line<N, R> {
  readonly #waiters = new Set<Waiter<N, R>>();
  readonly #gaveUp: (waiter: Waiter<N, R>) => void;

  /** `gaveUp` is called when one has left that ran out of time, or was aborted, or whose client is gone. */
  constructor(gaveUp: (waiter: Waiter<N, R>) => void = () => {}) {
    this.#gaveUp = gaveUp;
  }

  get length(): number {
    return this.#waiters.size;
  }

  /** Who has waited longest. */
  get first(): Waiter<N, R> | undefined {
    for (const waiter of this.#waiters) return waiter;
    return undefined;
  }

  /** All that wait now, in order. */
  get all(): Waiter<N, R>[] {
    return [...this.#waiters];
  }

  /** Goes to the end of the line, for the call that is running; until it is settled, aborted, or out of time. */
  wait(owner: Owner, note: N, patience: Patience<R>): Promise<R> {
    const signal = patience.isAbortable === false ? undefined : (patience.signal ?? currentCall()?.signal);
    if (signal?.aborted) return Promise.reject(signal.reason);
    const waiter: Waiter<N, R> = new Waiter(owner, note, signal, patience, this.#leave, () =>
      this.#gaveUp(waiter),
    );
    this.#waiters.add(waiter);
    return waiter.promise;
  }

  readonly #leave = (waiter: Waiter<N, R>): boolean => this.#waiters.delete(waiter);
}
