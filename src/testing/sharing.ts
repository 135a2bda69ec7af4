import { SharedArray } from '../shared/shared-array.js';
import { waiting } from '../wait/line.js';
import { type Carrier, carriers, forked, mixed, type Peer, threads } from './carriers.js';
import { waitUntil } from './processes.js';

/* For tests of what threads and processes share. */

/** For a test that could get stuck. */
export const LIMIT = { timeout: 60_000 };

/**
 * Threads by themselves, forked processes, and all sorts at once, spawned processes among them. These differ from forked ones in
 * their birth alone, and take their time for it: MANYHANDS_CARRIERS=all has them by themselves as well.
 */
export const crowds: readonly Carrier[] = [
  ...(process.env.MANYHANDS_CARRIERS === 'all' ? carriers : [threads, forked]),
  mixed(),
];

/** For leavesNothing(): starts what the library keeps for as long as a process lives. */
export async function warmCarriers(): Promise<void> {
  for (const carrier of carriers) await ended(carrier.start(() => {}));
}

/** Whole numbers, all 0, that all see. Change them by Atomics. */
export type Numbers = SharedArray<'i32'>;

export function numbers(count = 8): Numbers {
  return new SharedArray('i32', count);
}

/** Resolves once a number is what it should be. */
export function untilIs(all: Numbers, index: number, value: number): Promise<void> {
  return waitUntil(
    () => Atomics.load(all.view, index) === value,
    () => `number ${index} to become ${value}, not ${all.view[index]}`,
    30_000,
  );
}

/** Resolves once so many stand in line at an object. */
export function untilWaiting(object: { cell: { at: number } }, count: number): Promise<void> {
  return waitUntil(
    () => waiting(object.cell.at).length === count,
    () => `${count} to stand in line, not ${waiting(object.cell.at).length}`,
    30_000,
  );
}

/** Resolves to what each returned, once all have ended. */
export async function ended<R>(...peers: Peer<R>[]): Promise<R[]> {
  const results = await Promise.all(peers.map(peer => peer.result()));
  await Promise.all(peers.map(peer => peer.join()));
  return results;
}

/** Ends them as abruptly as they can end. */
export async function killed(...peers: Peer<unknown>[]): Promise<void> {
  for (const peer of peers) peer.kill();
  await Promise.all(peers.map(peer => peer.join()));
}
