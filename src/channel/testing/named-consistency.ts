import assert from 'node:assert/strict';
import {
  CHANNEL,
  CONTROL,
  COUNT_MASK,
  type Free,
  KIND,
  KIND_BIT,
  LISTS,
  listOf,
  RECORD,
  RECORD_WORDS,
  TABLE,
} from '../named-runs.js';

/** Runs in use, by their first page. */
export type InUse = Map<number, { pages: number; owner: number }>;

/** Throws if the table of runs contradicts itself. Nobody may be at it. `at`: its first word. */
export function checkRuns(words: Int32Array, at: number, pages: number): InUse {
  const inUse: InUse = new Map();
  const free = new Map<number, { kind: Free; pages: number }>();
  const record = (page: number) => at + TABLE + (page - 1) * RECORD_WORDS;
  let [used, dirty, last, page] = [0, 0, 0, 1];
  while (page <= pages) {
    const head = words[record(page) + RECORD.HEAD];
    if (head === 0) break;
    const kind = head >>> KIND_BIT;
    const count = head & COUNT_MASK;
    assert.ok(count > 0 && page + count <= pages + 1, `page ${page} begins a run of ${count}`);
    const tail = words[record(page + count - 1) + RECORD.HEAD];
    assert.equal(tail, count === 1 ? head : (KIND.TAIL << KIND_BIT) | count, `the tail of page ${page}`);
    if (kind === KIND.USED) {
      const owner = words[record(page) + RECORD.OWNER];
      assert.ok(owner > 0, `page ${page} is nobody's`);
      inUse.set(page, { pages: count, owner });
      used += count;
    } else {
      assert.ok(kind === KIND.DIRTY || kind === KIND.CLEAN, `page ${page} is of kind ${kind}`);
      assert.notEqual(kind, last, `the run before page ${page} is of its kind, and apart`);
      assert.notEqual(words[record(page) + RECORD.OWNER], CHANNEL, `page ${page} is free and the channel's`);
      free.set(page, { kind, pages: count });
      if (kind === KIND.DIRTY) dirty += count;
    }
    last = kind;
    page += count;
  }
  assert.notEqual(last, KIND.CLEAN, 'the last run should be part of what was never used');
  assert.equal(words[at + CONTROL.LOCK], 0);
  assert.equal(words[at + CONTROL.USED], used);
  assert.equal(words[at + CONTROL.DIRTY], dirty);
  assert.equal(words[at + CONTROL.TOP] || 1, page);
  for (let list = 0; list < 2 * LISTS; list++) {
    const first = words[at + CONTROL.LISTS + list];
    const bit = (words[at + CONTROL.BITS + (list >>> 5)] >>> (list & 31)) & 1;
    assert.equal(bit, first === 0 ? 0 : 1, `the bit of list ${list}`);
    for (let previous = 0, at = first; at !== 0; previous = at, at = words[record(at) + RECORD.NEXT]) {
      const run = free.get(at);
      assert.ok(run, `list ${list} has page ${at}, which begins no free run or is in a list already`);
      assert.equal(list, listOf(run.kind, run.pages));
      assert.equal(words[record(at) + RECORD.PREVIOUS], previous);
      free.delete(at);
    }
  }
  assert.deepEqual([...free.keys()], [], 'free runs that are in no list');
  return inUse;
}
