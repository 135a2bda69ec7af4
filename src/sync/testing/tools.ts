import { waitUntil } from '../../testing/processes.js';
import { waiting } from '../../wait/line.js';
import type { Guard } from '../guard.js';
import type { Lock } from '../lock.js';
import type { SharedObject } from '../shared-object.js';

/** For tests: long, as machines may be slow; what must be quick is measured in the test. */
export const LIMIT = { timeout: 60_000 };

/** The two forms of waiting. The blocking one is async, too, for those who do not care. */
export const FORMS = ['async', 'blocking'] as const;
export type Form = (typeof FORMS)[number];

export async function acquire(lock: Lock, form: Form, options?: { timeout?: number }): Promise<Guard> {
  return form === 'async' ? await lock.acquire(options) : lock.acquireSync(options);
}

/** Resolves when so many stand in line for the object. */
export function inLine(object: SharedObject, count: number): Promise<void> {
  const length = () => waiting(object.cell.at).length;
  return waitUntil(
    () => length() === count,
    () => `${count} to stand in line, not ${length()}`,
    20_000,
  );
}

/** Words of an object's block that it does not use itself. */
const SPARE = { COUNT: 8, INSIDE: 9, FAULTS: 10, ABANDONED: 11 } as const;

/** In shared memory, beside the lock. Two that change it at once corrupt it. */
export function count({ cell: { words, at } }: SharedObject): number {
  return words[at + SPARE.COUNT];
}

/** To be called with the lock held: counts in steps that must not be mixed with another owner's. */
export function increment({ cell: { words, at } }: SharedObject): void {
  const seen = words[at + SPARE.COUNT];
  if (Atomics.add(words, at + SPARE.INSIDE, 1) !== 0) Atomics.add(words, at + SPARE.FAULTS, 1);
  for (let i = 0; i < 20; i++) Atomics.load(words, at + SPARE.COUNT);
  words[at + SPARE.COUNT] = seen + 1;
  Atomics.sub(words, at + SPARE.INSIDE, 1);
}

/** How often two were at it at once. */
export function faults({ cell: { words, at } }: SharedObject): number {
  return words[at + SPARE.FAULTS];
}

/** With the lock held, of an owner who may die at any moment: notes who is inside, and finds those that should not be. */
export function enterAs({ cell: { words, at } }: SharedObject, tag: number, abandoned: boolean): void {
  if (abandoned) words[at + SPARE.ABANDONED]++;
  words[at + SPARE.INSIDE] = tag;
}

export function leaveAs({ cell: { words, at } }: SharedObject, tag: number): void {
  if (words[at + SPARE.INSIDE] !== tag) Atomics.add(words, at + SPARE.FAULTS, 1);
  words[at + SPARE.COUNT]++;
}

/** How often it came from a dead owner. */
export function abandonments({ cell: { words, at } }: SharedObject): number {
  return words[at + SPARE.ABANDONED];
}

/** The code of the error that `fn` throws or rejects with; what it gives if it does neither. */
export async function outcomeOf(fn: () => unknown): Promise<unknown> {
  try {
    return await fn();
  } catch (error) {
    return (error as { code?: unknown }).code ?? (error as Error).name;
  }
}
