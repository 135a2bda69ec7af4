/** Held until disposed: `using guard = await lock.acquire()`. */
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
  readonly abandoned: boolean;
  #from: Guarded<Held> | undefined;
  /** Those that the same thread acquired of the same object before and after it, and still has. */
  below: Held | undefined;
  above: Held | undefined;
  /** Where it is entered, and by which number, if there is a table (holders.ts). */
  readonly place: number;
  readonly flow: number;

  constructor(from: Guarded<Held>, abandoned: boolean, place = 0, flow = 0) {
    this.#from = from;
    this.abandoned = abandoned;
    this.below = undefined;
    this.above = undefined;
    this.place = place;
    this.flow = flow;
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

/** The guards that a thread has of one object, in order of acquisition. */
export class GuardList {
  oldest: Held | undefined;
  latest: Held | undefined;

  add(guard: Held): void {
    guard.below = this.latest;
    if (this.latest) this.latest.above = guard;
    else this.oldest = guard;
    this.latest = guard;
  }

  remove(guard: Held): void {
    if (guard.below) guard.below.above = guard.above;
    else this.oldest = guard.above;
    if (guard.above) guard.above.below = guard.below;
    else this.latest = guard.below;
    guard.below = undefined;
    guard.above = undefined;
  }
}
