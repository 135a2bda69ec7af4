import { createHash, type Hash } from 'node:crypto';
import { UsageError } from './usage-error.js';

/** Neighbouring inputs, on their way to a worker. */
export interface Batch {
  /** Number of the first among all inputs, from 0. */
  readonly first: number;
  readonly count: number;
  /** The inputs with the separator between them (not behind the last). */
  readonly bytes: Buffer;
  /** To be run one by one: a worker died under them together. */
  readonly alone: boolean;
  /** Failed in an earlier run that is now resumed. */
  readonly again: boolean;
}

/** Neighbouring inputs that an earlier run has dealt with. */
export interface DoneRange {
  readonly first: number;
  readonly count: number;
  /** hashOf() their bytes. */
  readonly hash: string;
  /** Those of them that failed, ascending. */
  readonly failed: readonly number[];
}

/** Cuts blocks of inputs into batches, numbers them, takes back what a worker did not get to, and passes over what an earlier run did. */
export class InputQueue {
  /** What an earlier run had done, as far as it has been read: inputs, and bytes with separators. */
  readonly passed = { count: 0, bytes: 0 };
  readonly #separator: number;
  #block: Buffer = Buffer.alloc(0);
  #at = 0;
  #next = 0;
  #returned: Batch[] = [];
  readonly #done: readonly DoneRange[];
  #range = 0;
  #hash: Hash | undefined;

  /** `done` is sorted and without overlap. */
  constructor(separator: number, done: readonly DoneRange[] = []) {
    this.#separator = separator;
    this.#done = done;
  }

  /** Whether there is anything to take; of what was taken before, or at all. */
  get hasReturned(): boolean {
    return this.#returned.length > 0;
  }
  get isEmpty(): boolean {
    return this.#returned.length === 0 && this.#at === this.#block.length;
  }

  /**
   * Adds whole inputs, each followed by the separator; only when the ones before are taken.
   * @throws {UsageError} Inputs that the resumed run has done are not what they were then.
   */
  push(block: Buffer): void {
    this.#block = block;
    this.#at = 0;
    this.#passDone();
  }

  /** Up to `most` inputs: what was given back before what is new. */
  take(most: number): Batch | undefined {
    const returned = this.#returned.shift();
    if (returned) {
      const count = returned.alone ? 1 : most;
      if (returned.count <= count) return returned;
      const [head, tail] = this.#split(returned, count);
      this.#returned.unshift(tail);
      return head;
    }
    if (this.#at === this.#block.length) return undefined;
    const upTo = this.#done[this.#range]?.first ?? Number.POSITIVE_INFINITY;
    const batch = this.#cut(Math.min(most, upTo - this.#next));
    this.#passDone();
    return batch;
  }

  /** Takes back all but the first `done` inputs of a batch. */
  giveBack(batch: Batch, done: number): void {
    this.#returned.push(done === 0 ? batch : this.#split(batch, done)[1]);
  }

  /** Takes back a batch whose inputs are to run one by one. */
  giveBackAlone(batch: Batch): void {
    this.#returned.push({ ...batch, alone: true });
  }

  /** The first `count` inputs of a batch. */
  head(batch: Batch, count: number): Batch {
    return count === batch.count ? batch : this.#split(batch, count)[0];
  }

  /** Forgets what has not been taken. */
  clear(): void {
    this.#block = Buffer.alloc(0);
    this.#at = 0;
    this.#returned = [];
  }

  /** @throws {UsageError} There are fewer inputs than the resumed run has done. */
  end(): void {
    const range = this.#done[this.#range];
    if (!range) return;
    throw new UsageError(
      `Cannot resume as the inputs end after ${this.#next}, before input ${range.first + range.count} that the journal has done: ` +
        'give the inputs of the run that is resumed, or start anew with another journal',
    );
  }

  /** Cuts up to `most` inputs off the block. */
  #cut(most: number): Batch {
    const start = this.#at;
    let end = start;
    let count = 0;
    for (; count < most && end < this.#block.length; count++) {
      end = this.#block.indexOf(this.#separator, end) + 1;
    }
    const batch = {
      first: this.#next,
      count,
      bytes: this.#block.subarray(start, end - 1),
      alone: false,
      again: false,
    };
    this.#at = end;
    this.#next += count;
    return batch;
  }

  #split(batch: Batch, count: number): [Batch, Batch] {
    let end = -1;
    for (let left = count; left > 0; left--) end = batch.bytes.indexOf(this.#separator, end + 1);
    return [
      { ...batch, count, bytes: batch.bytes.subarray(0, end) },
      {
        ...batch,
        first: batch.first + count,
        count: batch.count - count,
        bytes: batch.bytes.subarray(end + 1),
      },
    ];
  }

  #passDone(): void {
    for (;;) {
      const range = this.#done[this.#range];
      if (!range || this.#next < range.first || this.#at === this.#block.length) return;
      const passed = this.#cut(range.first + range.count - this.#next);
      this.passed.count += passed.count;
      this.passed.bytes += passed.bytes.length + 1;
      if (this.#hash) this.#hash.update(Buffer.of(this.#separator));
      this.#hash ??= createHash('sha256');
      this.#hash.update(passed.bytes);
      this.#returned.push(...this.#failedOf(passed, range));
      if (this.#next < range.first + range.count) return;
      if (shorten(this.#hash) !== range.hash) {
        this.clear(); // none of these shall run
        throw new UsageError(
          `Cannot resume as inputs ${range.first + 1} to ${range.first + range.count} are not those that the journal has done: ` +
            'give the inputs of the run that is resumed, or start anew with another journal',
        );
      }
      this.#hash = undefined;
      this.#range++;
    }
  }

  #failedOf(passed: Batch, range: DoneRange): Batch[] {
    const failed = range.failed.filter(n => n >= passed.first && n < passed.first + passed.count);
    let rest = passed;
    return failed.map(n => {
      if (n > rest.first) rest = this.#split(rest, n - rest.first)[1];
      const one = this.head(rest, 1);
      return { ...one, again: true };
    });
  }
}

/** What stands for inputs in the journal: `parts` are their bytes, to be read with the separator between them. */
export function hashOf(parts: readonly Uint8Array[], separator?: number): string {
  const hash = createHash('sha256');
  for (const [i, part] of parts.entries()) {
    if (i > 0 && separator !== undefined) hash.update(Buffer.of(separator));
    hash.update(part);
  }
  return shorten(hash);
}

/** 96 bits: this is against mistakes and torn writes, not against forgers. */
export function shorten(hash: Hash): string {
  return hash.digest('hex').slice(0, 24);
}
