import { type Abortable, unwatchAbort, watchAbort } from './abort.js';
import { atDeadline } from './deadlines.js';
import { timeoutOf, type WaitOptions } from './options.js';

/**
 * Something that happens once, within this thread, and that any number may wait for. Waiters go on in the order in
 * which they came; one that gives up leaves nothing behind.
 */
export class Completion<T> {
  #outcome: { value: T } | undefined;
  readonly #waiters = new Set<Waiter>();

  /** What it came to; undefined: it has not happened yet. */
  get outcome(): { readonly value: T } | undefined {
    return this.#outcome;
  }

  /** It has happened. A second call changes nothing. */
  complete(value: T): void {
    if (this.#outcome) return;
    this.#outcome = { value };
    for (const waiter of this.#waiters) waiter.notify();
    this.#waiters.clear();
  }

  /** Has `listener` called when it happens, if it has not yet. Returns the way to stop. */
  watch(listener: () => void): () => void {
    // Each call counts for itself, also with the same function.
    const waiter = { notify: () => listener() };
    if (!this.#outcome) this.#waiters.add(waiter);
    return () => {
      this.#waiters.delete(waiter);
    };
  }

  /**
   * Waits for it. Undefined: `timeout` ms had passed first.
   * Rejects with `signal.reason` when aborted, before the call or during the wait.
   */
  async wait(options: WaitOptions = {}): Promise<{ readonly value: T } | undefined> {
    const timeout = timeoutOf(options);
    const { signal } = options;
    signal?.throwIfAborted();
    if (this.#outcome || timeout === 0) return this.#outcome;
    return new Promise((resolve, reject) => {
      const wait = new Wait(this.#waiters, signal, () => resolve(this.#outcome), reject);
      if (timeout !== Number.POSITIVE_INFINITY) wait.endAt(performance.now() + timeout);
    });
  }
}

interface Waiter {
  notify(): void;
}

/** A wait that is not over. */
class Wait implements Waiter, Abortable {
  readonly #all: Set<Waiter>;
  readonly #signal: AbortSignal | undefined;
  readonly #finish: () => void;
  readonly #fail: (reason: unknown) => void;
  #cancelTimer: (() => void) | undefined;

  constructor(
    all: Set<Waiter>,
    signal: AbortSignal | undefined,
    finish: () => void,
    fail: (reason: unknown) => void,
  ) {
    this.#all = all;
    this.#signal = signal;
    this.#finish = finish;
    this.#fail = fail;
    all.add(this);
    if (signal) watchAbort(signal, this);
  }

  endAt(deadline: number): void {
    this.#cancelTimer = atDeadline(deadline, () => this.notify(), true);
  }

  notify(): void {
    this.#leave();
    this.#finish();
  }

  abort(reason: unknown): void {
    this.#leave();
    this.#fail(reason);
  }

  #leave(): void {
    this.#all.delete(this);
    this.#cancelTimer?.();
    if (this.#signal) unwatchAbort(this.#signal, this);
  }
}
