import { native } from './native.js';

/**
 * When a process, or thread, began, in clock ticks since boot: with its id, that names it for good. Undefined: there is none that
 * runs; one that has ended and waits to be reaped does not.
 */
export function startOfRunning(id: number): number | undefined {
  const stat = native.processStat(id);
  return !stat || stat[0] === 'Z' || stat[0] === 'X' ? undefined : stat[2];
}
