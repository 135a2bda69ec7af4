import { words } from './commons.js';
import {
  enter,
  exit,
  HIGH_DIRTY_PAGES,
  HIGH_TOP,
  LOW_CLEAN,
  LOW_DIRTY,
  LOW_DIRTY_PAGES,
  USED,
} from './guard.js';
import { PAGE } from './layout.js';
import { BIN_BITS, CLEAN_BINS, DIRTY_BINS, listWord, SLAB_LISTS } from './lists.js';
import {
  COUNT_MASK,
  HIGH_FIRST,
  highEnd,
  KIND,
  kindOf,
  lowEnd,
  lowFirst,
  PAGE_WORDS,
  recordOf,
} from './pages.js';
import { COUNTS } from './sizes.js';

export interface Census {
  /** Small blocks that are allocated. */
  readonly blocks: number;
  /** Pages of small blocks. */
  readonly slabs: number;
  /** Those of them that a thread holds. */
  readonly held: number;
  /** Large blocks that are allocated. */
  readonly runs: number;
}

/**
 * Goes through all that the allocator keeps and throws an Error that says where two of its parts contradict each other. It
 * takes the allocator's lock, so what it finds is wrong for good; only a free that is between its steps may make the count of
 * a slab differ, and only if `quiet` (nobody else is at it, default true) is that held against it.
 */
export function checkConsistency({ quiet = true } = {}): Census {
  enter();
  try {
    const low = checkLow(quiet);
    const high = checkHigh();
    expect(words[USED] === low.used + high.used, `${words[USED]} pages used, not ${low.used} + ${high.used}`);
    expect(
      words[LOW_DIRTY_PAGES] === low.dirty,
      `${words[LOW_DIRTY_PAGES]} low pages dirty, not ${low.dirty}`,
    );
    expect(
      words[HIGH_DIRTY_PAGES] === high.dirty,
      `${words[HIGH_DIRTY_PAGES]} high pages dirty, not ${high.dirty}`,
    );
    return { blocks: low.blocks, slabs: low.slabs, held: low.held, runs: high.runs };
  } finally {
    exit();
  }
}

function checkLow(quiet: boolean) {
  const w = words;
  const found = { used: 0, dirty: 0, blocks: 0, slabs: 0, held: 0 };
  const free = { [KIND.CLEAN]: stack(LOW_CLEAN), [KIND.DIRTY]: stack(LOW_DIRTY) };
  const lists = COUNTS.map((_, k) => members(SLAB_LISTS + k));
  let listed = 0;
  for (let page = lowFirst(); page < lowEnd(); page++) {
    const at = recordOf(page);
    const head = w[at + PAGE.HEAD];
    const kind = kindOf(head);
    if (kind === KIND.CLEAN || kind === KIND.DIRTY) {
      expect(free[kind].delete(page), `free page ${page} is not on its stack`);
      if (kind === KIND.DIRTY) found.dirty++;
      continue;
    }
    found.used++;
    if (kind === KIND.USED) continue;
    expect(kind === KIND.SLAB, `head ${head.toString(16)} of low page ${page}`);
    const k = head & COUNT_MASK;
    const start = page * PAGE_WORDS;
    const taken = w
      .subarray(start + 1, start + 1 + COUNTS[k])
      .reduce((sum, owner) => sum + (owner === 0 ? 0 : 1), 0);
    found.slabs++;
    found.blocks += taken;
    const inList = lists[k].has(page);
    if (inList) listed++;
    if (w[at + PAGE.OWNER] !== 0) {
      found.held++;
      expect(!inList, `held slab ${page} is listed`);
    } else if (quiet) {
      expect(w[start] === taken, `slab ${page} counts ${w[start]} blocks, not ${taken}`);
      const room = COUNTS[k] - Math.max(1, COUNTS[k] >>> 3);
      expect(inList === taken <= room, `slab ${page} with ${taken} of ${COUNTS[k]} is listed: ${inList}`);
      expect(taken > 0, `slab ${page} is empty`);
    }
  }
  expect(free[KIND.CLEAN].size + free[KIND.DIRTY].size === 0, 'pages are stacked that are not free');
  expect(listed === lists.reduce((sum, list) => sum + list.size, 0), 'pages are listed that are no slabs');
  return found;
}

function checkHigh() {
  const w = words;
  const found = { used: 0, dirty: 0, runs: 0 };
  const binned = new Set<number>();
  for (let bin = CLEAN_BINS; bin < BIN_BITS; bin++) {
    const list = members(bin);
    for (const page of list) binned.add(page);
    const bit = (w[listWord(BIN_BITS) + ((bin - CLEAN_BINS) >>> 5)] >>> (bin & 31)) & 1;
    expect(bit === (list.size > 0 ? 1 : 0), `bit of bin ${bin}`);
  }
  const top = HIGH_FIRST + w[HIGH_TOP];
  let page = HIGH_FIRST;
  let before = 0;
  while (page < top) {
    const head = w[recordOf(page) + PAGE.HEAD];
    const kind = kindOf(head);
    const pages = head & COUNT_MASK;
    expect(pages > 0, `head ${head.toString(16)} of high page ${page}`);
    if (pages > 1)
      expect(w[recordOf(page + pages - 1) + PAGE.HEAD] === (KIND.TAIL | pages), `tail of run ${page}`);
    if (kind === KIND.USED) {
      found.used += pages;
      found.runs++;
    } else {
      expect(kind === KIND.CLEAN || kind === KIND.DIRTY, `head ${head.toString(16)} of high page ${page}`);
      expect(kind !== before, `free runs before and at ${page} are not one`);
      if (kind === KIND.DIRTY) found.dirty += pages;
      expect(binned.delete(page), `free run ${page} is in no bin`);
    }
    before = kind;
    page += pages;
  }
  expect(page === top, `runs end at page ${page}, not ${top}`);
  expect(page === highEnd() || w[recordOf(page) + PAGE.HEAD] === 0, 'the wilderness has no head');
  expect(before !== KIND.CLEAN, 'a clean run before the wilderness is not part of it');
  expect(binned.size === 0, 'runs are in bins that are not free');
  return found;
}

function stack(word: number): Set<number> {
  const found = new Set<number>();
  for (let page = words[word]; page !== 0; page = words[recordOf(page) + PAGE.NEXT]) {
    expect(!found.has(page), `stack ${word} is a circle`);
    found.add(page);
  }
  return found;
}

/** The pages of a list. */
function members(list: number): Set<number> {
  const found = new Set<number>();
  let previous = 0;
  for (let page = words[listWord(list)]; page !== 0; page = words[recordOf(page) + PAGE.NEXT]) {
    expect(!found.has(page), `list ${list} is a circle`);
    expect(words[recordOf(page) + PAGE.PREVIOUS] === previous, `page ${page} is wrongly linked back`);
    if (list >= CLEAN_BINS)
      expect(
        kindOf(words[recordOf(page) + PAGE.HEAD]) === (list >= DIRTY_BINS ? KIND.DIRTY : KIND.CLEAN),
        `page ${page} is in a bin of the other kind`,
      );
    found.add(page);
    previous = page;
  }
  return found;
}

function expect(condition: boolean, contradiction: string): asserts condition {
  if (!condition) throw new Error(`The commons contradicts itself: ${contradiction}`);
}
