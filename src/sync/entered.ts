import { type Guarded, Held } from './guard.js';

/** A guard over what is entered in a table (holders.ts). */
export class Entered extends Held {
  /** What was acquired after it. */
  above: Entered | undefined = undefined;

  constructor(
    from: Guarded<Held>,
    abandoned: boolean,
    /** Word index of the entry, and the number that tells it from later ones at that place. */
    readonly place: number,
    readonly flow: number,
  ) {
    super(from, abandoned, undefined);
  }
}

/** The guards that a thread has of one object, in order of acquisition. */
export class EnteredList {
  oldest: Entered | undefined = undefined;
  latest: Entered | undefined = undefined;
  size = 0;

  add(guard: Entered): void {
    this.size++;
    guard.below = this.latest;
    if (this.latest) this.latest.above = guard;
    else this.oldest = guard;
    this.latest = guard;
  }

  remove(guard: Entered): void {
    this.size--;
    const below = guard.below as Entered | undefined;
    if (below) below.above = guard.above;
    else this.oldest = guard.above;
    if (guard.above) guard.above.below = below;
    else this.latest = below;
    guard.below = undefined;
    guard.above = undefined;
  }
}
