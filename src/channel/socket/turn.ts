import { type Abortable, unwatchAbort, watchAbort } from '../../wait/abort.js';
import { atDeadline } from '../../wait/deadlines.js';
import { hold, unhold } from '../../wait/doorbell.js';
import { onFork } from '../../wait/forks.js';
import type { WaitOptions } from '../../wait/options.js';

/** Rises in the child of a fork: what its parent waits for, that alone waits for. */
let generation = 0;

onFork(() => ({ take: () => void generation++ }));

/** Those who wait, in the order in which they came. */
export type Turns<T> = Set<T>;

/**
 * A wait of this thread for something that its sockets bring. It is in line from its making until it is over, keeps the event loop
 * alive as long, and leaves nothing behind.
 */
export class Turn<T> implements Abortable {
  readonly promise: Promise<T>;
  #resolve: (value: T | PromiseLike<T>) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  readonly #line: Turns<Turn<T>>;
  readonly #signal: AbortSignal | undefined;
  readonly #cancelTimer: (() => void) | undefined;
  readonly #generation = generation;
  #isOver = false;

  /** `late`: the error for when time has run out. */
  constructor(line: Turns<any>, { timeout, signal }: WaitOptions, late: () => Error) {
    this.#line = line;
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal = signal;
    line.add(this);
    hold();
    if (signal) watchAbort(signal, this);
    if (timeout !== undefined && timeout !== Number.POSITIVE_INFINITY)
      this.#cancelTimer = atDeadline(performance.now() + timeout, () => this.abort(late()), true);
  }

  resolve(value: T | PromiseLike<T>): void {
    if (this.#end()) this.#resolve(value);
  }

  reject(error: unknown): void {
    if (this.#end()) this.#reject(error);
  }

  /** It gives up, as it is called off or time has run out. */
  abort(reason: unknown): void {
    this.reject(reason);
  }

  #end(): boolean {
    if (this.#isOver || this.#generation !== generation) return false;
    this.#isOver = true;
    this.#line.delete(this);
    this.#cancelTimer?.();
    if (this.#signal) unwatchAbort(this.#signal, this);
    unhold();
    return true;
  }
}

/** The first in line. */
export function firstOf<T>(line: Turns<T>): T | undefined {
  for (const one of line) return one;
  return undefined;
}
