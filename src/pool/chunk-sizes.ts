/** How long a worker is to be busy with a chunk, ms. */
const WORK = 5;
/** A chunk has at most so many times as many items as the largest that is over: a first call is no measure, as it compiles. */
const GROWTH = 16;
/** The first chunks are this part of a worker's share: so little that it does not matter how long they take. */
const BEGINNING = 1 / 512;
/** Bytes of arguments that a chunk has at most. */
const MOST_BYTES = 4 * 2 ** 20;
/** Chunks a worker that are under way: one that runs, and one that it goes on with at once. */
const AHEAD = 2;
/** The same where somebody else says how large they are: as many as make up this much work, ms, but no more than so many. */
const WORK_AHEAD = 10;
const MOST_AHEAD = 512;
/** How much what was measured before counts beside the latest. */
const FADING = 1 / 4;

/**
 * Chooses how many items of a map the next chunk has.
 *
 * Source: guided self-scheduling (C. Polychronopoulos, D. Kuck, "Guided Self-Scheduling: A Practical Scheduling Scheme for Parallel
 * Supercomputers", 1987) with half a worker's share of what is left rather than all of it, as in factoring (S. Hummel, E. Schonberg,
 * L. Flynn, "Factoring: A Method for Scheduling Parallel Loops", 1992): chunks that grow smaller towards the end let all workers
 * end at about the same time, though items differ. What is added is the measured time of an item: it is the upper limit, so that an estimate
 * that was wrong costs little, and that the input need not have a known end.
 */
export class ChunkSizes {
  /** What the caller wants. */
  readonly #fixed: number | undefined;
  /** Of late: how long so many items took; how many bytes so many were. */
  #time = 0;
  #timed = 0;
  #bytes = 0;
  #weighed = 0;
  /** Items of the first chunks; 0: there is none yet. */
  #least = 0;
  /** Items of the largest chunk that is over. */
  #largest = 0;

  constructor(fixed: number | undefined) {
    this.#fixed = fixed;
  }

  /** How many items the next chunk has, when `remaining` are left, if that is known. */
  next(remaining: number | undefined, workers: number): number {
    if (this.#fixed !== undefined) return this.#fixed;
    if (this.#least === 0) this.#least = Math.max(1, ((remaining ?? 0) / workers) * BEGINNING);
    const byGrowth = Math.max(this.#least, this.#largest * GROWTH);
    const byTime = this.#timed === 0 ? Number.POSITIVE_INFINITY : WORK / this.#msAnItem;
    const byBytes = this.#bytes > 0 ? (MOST_BYTES * this.#weighed) / this.#bytes : Number.POSITIVE_INFINITY;
    const share = remaining === undefined ? Number.POSITIVE_INFINITY : remaining / (2 * workers);
    // Towards the end, chunks need not be so small that giving them is what takes time.
    const fair = Math.max(share, byTime / GROWTH);
    return Math.max(1, Math.floor(Math.min(byTime, byBytes, fair, byGrowth)));
  }

  /** How many chunks may be under way. */
  ahead(workers: number): number {
    if (this.#fixed === undefined) return AHEAD * workers;
    const chunks = this.#timed === 0 ? AHEAD : WORK_AHEAD / (this.#msAnItem * this.#fixed);
    return Math.ceil(Math.min(MOST_AHEAD, Math.max(AHEAD, chunks)) * workers);
  }

  get #msAnItem(): number {
    return Math.max(this.#time / this.#timed, 1e-6);
  }

  /** A chunk has been given. */
  given(items: number, bytes: number): void {
    this.#bytes = this.#bytes * FADING + bytes;
    this.#weighed = this.#weighed * FADING + items;
  }

  /** A chunk is over. `ms`: how long it ran. */
  over(items: number, ms: number): void {
    this.#time = this.#time * FADING + ms;
    this.#timed = this.#timed * FADING + items;
    if (items > this.#largest) this.#largest = items;
  }
}
