/**
 * What was acquired, held until it is released or disposed of: `using guard = await lock.acquire()` gives it back at the end of the
 * block, whatever happens in there. In plain JavaScript, `guard.release()` in a `finally`.
 */
export interface Guard extends Disposable {
  /** Gives back what was acquired. A second call, or one after the lock's own release(), does nothing. */
  release(): void;
  /** True when the last owner died holding the lock: what it protects may be half-written. */
  readonly abandoned: boolean;
}

/** What gives guards, and takes them back. */
export interface Guarded<T> {
  takeBack(guard: T): void;
}

/** A guard over one acquisition. */
export class Held implements Guard {
  abandoned: boolean;
  #from: Guarded<Held> | undefined;
  /** What the same thread acquired of the same object before, and still has. */
  below: Held | undefined;

  constructor(from: Guarded<Held>, abandoned: boolean, below: Held | undefined) {
    this.#from = from;
    this.abandoned = abandoned;
    this.below = below;
  }

  release(): void {
    const from = this.#from;
    if (from === undefined) return;
    this.#from = undefined;
    from.takeBack(this);
  }

  /** It has been given back by other means. */
  lapse(): void {
    this.#from = undefined;
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
