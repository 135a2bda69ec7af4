import { getHeapStatistics } from 'node:v8';
import { bytesInView } from '../memory/commons.js';
import type { Kind } from './carriers.js';

/**
 * Memory that a worker of this kind takes which calls it, bytes.
 *
 * A process: its resident memory, as the kernel counts it; what it shares with others counts. A thread: its heap, what V8 has
 * allocated for it beside that, and its ArrayBuffers, touched or not; neither SharedArrayBuffers nor what native modules
 * allocate by themselves, as nobody knows which thread has it.
 * It takes 1 µs (a small heap) to 15 µs.
 */
export function residentMemory(kind: Kind): number {
  if (kind === 'process') return process.memoryUsage.rss();
  const { total_physical_size, malloced_memory, external_memory } = getHeapStatistics();
  // V8 takes the commons for this thread's own.
  return total_physical_size + malloced_memory + external_memory - bytesInView();
}

/** To look takes longer than a quick task does. So after such a task it is not looked if it was within so many ms. */
const PAUSE = 5;

/** Whether a worker takes more memory than it may: `limit`, bytes. */
export class MemoryLimit {
  readonly #kind: Kind;
  readonly #limit: number;
  #looked = Number.NEGATIVE_INFINITY;
  #hasMissed = false;

  constructor(kind: Kind, limit: number) {
    this.#kind = kind;
    this.#limit = limit;
  }

  /** To be asked after each task, which ended at `time`, ms. */
  isPassed(time: number): boolean {
    this.#hasMissed = time - this.#looked < PAUSE;
    if (this.#hasMissed) return false;
    this.#looked = time;
    return residentMemory(this.#kind) > this.#limit;
  }

  /** To be asked before the worker sleeps: makes up for a look that was left out. */
  isPassedUnseen(): boolean {
    if (!this.#hasMissed) return false;
    this.#hasMissed = false;
    return residentMemory(this.#kind) > this.#limit;
  }
}
