/*
 * What a fork of this process means to the parts of the library that keep something for a thread. The child has copies of all of
 * it; some is to be the child's too (what is shared), some stays the parent's (whose waits, locks, children those are).
 */

/** One part's share in a fork. */
export interface Bequest {
  /** In the child, which is a member of the family of its own by then: takes what is left to it, lets go of the rest. */
  take(): void;
  /** In the parent, once the child has ended, however soon, or if there is none: takes back what it may not have come to take. */
  takeBack?(): void;
}

const heirs: (() => Bequest | undefined)[] = [];

/** Has `prepare` called in the parent before each fork. Register as your module is loaded. */
export function onFork(prepare: () => Bequest | undefined): void {
  heirs.push(prepare);
}

/** Several as one. */
export function all(bequests: readonly Bequest[]): Bequest {
  return {
    take: () => {
      for (const bequest of bequests) bequest.take();
    },
    takeBack: () => {
      for (const bequest of bequests) bequest.takeBack?.();
    },
  };
}

/** To be called right before a fork. */
export function prepareFork(): Bequest[] {
  const bequests: Bequest[] = [];
  for (const prepare of heirs) {
    const bequest = prepare();
    if (bequest) bequests.push(bequest);
  }
  return bequests;
}
