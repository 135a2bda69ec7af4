import { inspect } from 'node:util';
import { isAllocated } from '../../memory/allocator.js';
import { waitUntil } from '../../testing/processes.js';
import { waiting } from '../../wait/line.js';
import { EXCHANGE } from '../exchange.js';
import type { Queue } from '../queue.js';

/* For tests of queues: who waits, and what came of a call. */

/** For a test that could get stuck. */
export const LIMIT = { timeout: 60_000 };

/** How many stand in line to get. */
export function getters({ cell }: Queue): number {
  return waiting(cell.at + EXCHANGE.PUTS).length;
}

/** How many stand in line to put. */
export function putters({ cell }: Queue): number {
  return waiting(cell.at + EXCHANGE.TAKES).length;
}

/** Resolves once so many stand in line to get. */
export function untilGetting(queue: Queue, count: number): Promise<void> {
  return waitUntil(
    () => getters(queue) === count,
    () => `${count} to wait for items, not ${getters(queue)}`,
    30_000,
  );
}

/** Resolves once so many stand in line to put. */
export function untilPutting(queue: Queue, count: number): Promise<void> {
  return waitUntil(
    () => putters(queue) === count,
    () => `${count} to wait for room, not ${putters(queue)}`,
    30_000,
  );
}

/** All that is in it, in order. */
export function drain<T>(queue: Queue<T>): T[] {
  const items: T[] = [];
  while (!queue.empty()) items.push(queue.getNowait());
  return items;
}

/** The numbers from `first` on, so many. */
export function range(count: number, first = 0): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}

/** The error that `fn` throws or rejects with. */
export async function failureOf(fn: () => unknown): Promise<any> {
  let result: unknown;
  try {
    result = await fn();
  } catch (error) {
    return error;
  }
  throw new Error(`It should have failed, and gave ${inspect(result)}`);
}

/** Resolves to what each came to: a value, or the code (else the name) of an error. */
export async function outcomes(promises: readonly Promise<unknown>[]): Promise<unknown[]> {
  return (await Promise.allSettled(promises)).map(end =>
    end.status === 'fulfilled' ? end.value : (end.reason?.code ?? end.reason?.name ?? end.reason),
  );
}

/** Until the memory of one that this thread has let go of is free. */
export async function untilFreed(queue: Queue): Promise<void> {
  const [block] = queue.cell.blocks;
  await waitUntil(() => !isAllocated(block), 'the queue to be freed');
}
