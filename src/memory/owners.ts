/*
 * Owners of blocks, as numbers of 32 bits:
 *
 *   0                 nobody: the block is free
 *   1 … 2³⁰ − 1       a thread, by its tag (participants.ts)
 *   2³⁰ … 2³¹ − 2     PROCESS_OWNER | a number that the process layer chooses
 *   2³¹ − 1           FAMILY
 *   −1 … −2³⁰         a shared object (src/sync/cell.ts)
 *   −2³¹ + a tag      a thread, by what others have given it
 */
export const PROCESS_OWNER: number = 1 << 30;
/** Nobody's in particular: it lives until it is freed, or the last process of the family ends. */
export const FAMILY = 0x7fffffff;
const GIVEN = 1 << 31;

/**
 * A second mark of the thread with this tag, for what others have given it: it goes in the same sweep, and is never mistaken
 * for what the thread has allocated for itself.
 */
export function givenTo(tag: number): number {
  return tag | GIVEN;
}

/** The thread that has been given what has this mark; 0: the mark is another's. */
export function receiverOf(mark: number): number {
  return mark < -PROCESS_OWNER ? mark & ~GIVEN : 0;
}

/** Whether a block with this mark is the owner's, by whichever of its marks. */
export function isOf(mark: number, owner: number): boolean {
  return mark === owner || (mark === (owner | GIVEN) && owner < PROCESS_OWNER);
}
