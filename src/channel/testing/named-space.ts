import assert from 'node:assert/strict';
import type { Home } from '../../sync/home.js';
import { openCell } from '../../sync/naming.js';
import { PAGE_BYTES } from '../named-runs.js';
import { NamedSpace } from '../named-space.js';
import { checkRuns, type InUse } from './named-consistency.js';

/** What tests share by a name: a counter, slots for handles, and memory. */
export const exchange = { BYTES: 2 ** 27, SLOTS: 30, WORDS: 32 } as const;

export interface Shared {
  readonly home: Home;
  readonly space: NamedSpace;
  readonly slots: number;
  readonly turns: number;
  check(): InUse;
  close(): void;
}

export function open(name: string, bytes: number = exchange.BYTES): Shared {
  const words = exchange.WORDS + NamedSpace.wordsFor(bytes);
  const cell = openCell('test', { name }, { bytes: 0, namedBytes: 4 * words, extent: bytes });
  const { home, at } = cell;
  const table = at + exchange.WORDS;
  return {
    home,
    space: new NamedSpace(home, table),
    turns: at,
    slots: at + 1,
    check: () => checkRuns(home.words, table, bytes / PAGE_BYTES),
    close: () => cell.free(),
  };
}

const STEP = 1024;

/** A block with something in it that tells of every change by another: a KiB apart, and at both ends. */
export function fill(space: NamedSpace, size: number, seed: number): number {
  const handle = space.allocate(Math.max(8, size));
  const { words } = space.at(handle, space.sizeOf(handle));
  words[0] = size;
  words[1] = seed;
  for (let i = 2; i < words.length; i += STEP / 4) words[i] = seed ^ (handle + i);
  words[words.length - 1] = seed;
  return handle;
}

/** @throws {AssertionError} Somebody has written there. */
export function verify(space: NamedSpace, handle: number): void {
  const { words } = space.at(handle, space.sizeOf(handle));
  const [size, seed] = words;
  assert.ok(size <= words.length * 4 && size > words.length * 4 - PAGE_BYTES, `${size} bytes in ${handle}`);
  for (let i = 2; i < words.length - 1; i += STEP / 4)
    if (words[i] !== (seed ^ (handle + i))) assert.fail(`word ${i} of block ${handle} is ${words[i]}`);
  assert.equal(words[words.length - 1], seed);
}
