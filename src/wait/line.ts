import { words } from '../memory/commons.js';
import { PARTICIPANT, PARTICIPANT_STATE, REASON } from '../memory/layout.js';
import { indexOf, record, self, tagOf } from '../memory/participants.js';
import { unlock } from '../memory/robust-lock.js';
import { append, BUCKET, bucketOf, insert, lockBucket, prepend, remove, repair } from './buckets.js';
import { ring, ringSelf } from './doorbell.js';
import { flag, freeNode, NODE, NODE_STATE, NOTE_WORDS, nodesOf, takeNode } from './nodes.js';

/*
 * The line at a word: who enters it, who is called, who leaves it. README.md tells the races and what closes them.
 */

/** Up to three 32-bit numbers that say what a wait is for. */
export type Note = readonly number[];

/** One that stands in line. */
export interface Waiter {
  /** Its thread. */
  readonly tag: number;
  readonly note: Note;
}

export interface WakeOptions {
  /** 32 bits handed to each of those woken. */
  token?: number;
  /**
   * Should one die before it has seen the wake, does the next in line get it (default)? False where `settle` has written
   * down who got what, so that whoever looks after a death will find it.
   */
  passOn?: boolean;
  /**
   * Asked of one after the other, first come first: shall it be woken? Undefined: neither it nor any after it.
   * Default: all are, up to `count`.
   */
  choose?: (waiter: Waiter) => boolean | undefined;
  /**
   * Runs before anyone goes on, and so that nobody can enter the line meanwhile: the place to change the word according
   * to who is woken (first come first) and whether more wait. If this thread dies before its end, they are woken all
   * the same; so one that is woken looks at what it has got. It must not wait, wake or throw.
   */
  settle?: (woken: readonly Waiter[], more: boolean) => void;
}

/**
 * Wakes the `count` that have waited longest on `word`, and returns how many that were. Those that gave up or died are
 * not counted; one whose death nobody has noticed yet is, and what it got is passed on then.
 *
 * Change the word first (by Atomics), then wake; or change it in `settle`. While nobody waits this costs one load.
 */
export function wake(word: number, count = 1, options?: WakeOptions): number {
  const bucket = bucketOf(word);
  // SYNC POINT with enter(): the caller has changed the word before this load.
  if (Atomics.load(words, bucket + BUCKET.HEAD) === 0 && options?.settle === undefined) return 0;
  return wakeInLine(bucket, word, count, options);
}

/** Wakes all that wait on `word` now. */
export function wakeAll(word: number, options?: WakeOptions): number {
  return wake(word, Number.POSITIVE_INFINITY, options);
}

function wakeInLine(
  bucket: number,
  word: number,
  count: number,
  { token = 0, passOn = true, choose, settle }: WakeOptions = {},
): number {
  const chosen: number[] = [];
  const owners = new Set<number>();
  let more = false;
  lockBucket(bucket);
  try {
    let node = nextAt(word, words[bucket + BUCKET.HEAD]);
    for (; node !== 0 && chosen.length < count; node = nextAt(word, words[node + NODE.NEXT])) {
      const isChosen = choose === undefined || choose(waiterAt(node));
      if (isChosen) chosen.push(node);
      else more = true;
      if (isChosen === undefined) break;
    }
    for (const node of chosen) {
      const owner = indexOf(words[node + NODE.OWNER]);
      words[node + NODE.TOKEN] = token;
      words[node + NODE.PASS_ON] = passOn ? 1 : 0;
      words[node + NODE.ORDER] = Atomics.add(words, record(owner) + PARTICIPANT.READY, 1);
      Atomics.store(words, node + NODE.STATE, NODE_STATE.WOKEN); // from here on it is woken, whatever happens to us
    }
    settle?.(chosen.map(waiterAt), more || node !== 0);
  } finally {
    for (const node of chosen) {
      remove(bucket, node);
      flag(node);
      owners.add(indexOf(words[node + NODE.OWNER]));
      Atomics.store(words, node + NODE.STATE, NODE_STATE.OUT); // and from here on its owner may use it again
    }
    unlock(bucket + BUCKET.LOCK);
  }
  const own = indexOf(self());
  for (const owner of owners) {
    if (owner === own) ringSelf(REASON.WAKE);
    else ring(owner, REASON.WAKE);
  }
  return chosen.length;
}

function waiterAt(node: number): Waiter {
  const note = node + NODE.NOTE;
  return { tag: words[node + NODE.OWNER], note: [words[note], words[note + 1], words[note + 2]] };
}

/** The first node from `node` on that waits on `word` and has not died. */
function nextAt(word: number, node: number): number {
  while (node !== 0) {
    if (words[node + NODE.WORD] === word && words[node + NODE.STATE] === NODE_STATE.WAITING) {
      const owner = words[node + NODE.OWNER];
      const state = record(indexOf(owner)) + PARTICIPANT.STATE;
      if (Atomics.load(words, state) === PARTICIPANT_STATE.LIVE && tagOf(indexOf(owner)) === owner) break;
    }
    node = words[node + NODE.NEXT];
  }
  return node;
}

/** Those that wait on `word`, first come first. Stale once read. */
export function waiting(word: number): (Waiter & { readonly node: number })[] {
  const bucket = bucketOf(word);
  const waiters: (Waiter & { node: number })[] = [];
  if (Atomics.load(words, bucket + BUCKET.HEAD) === 0) return waiters;
  lockBucket(bucket);
  for (let node = nextAt(word, words[bucket + BUCKET.HEAD]); node !== 0; ) {
    waiters.push({ ...waiterAt(node), node });
    node = nextAt(word, words[node + NODE.NEXT]);
  }
  unlock(bucket + BUCKET.LOCK);
  return waiters;
}

/** Does anyone wait on `word` of whom this is so? Stale once read. While nobody waits this costs one load. */
export function someWait(word: number, matches: (waiter: Waiter) => boolean): boolean {
  const bucket = bucketOf(word);
  if (Atomics.load(words, bucket + BUCKET.HEAD) === 0) return false;
  lockBucket(bucket);
  try {
    let node = nextAt(word, words[bucket + BUCKET.HEAD]);
    while (node !== 0 && !matches(waiterAt(node))) node = nextAt(word, words[node + NODE.NEXT]);
    return node !== 0;
  } finally {
    unlock(bucket + BUCKET.LOCK);
  }
}

/** How a wait enters the line. */
export interface Entry {
  /** What it waits for, for wakers that choose(). */
  readonly note?: Note;
  /** When it came, as a 32-bit number that may wrap around, if all who wait at that word have one. It is the note, then. */
  readonly arrival?: number;
  /** As the first; or, with `arrival`, before all that came later. For one that was woken, and found that another had been quicker. */
  readonly first?: boolean;
}

/** Enters the line at `word`: the node, or 0 when the word did not hold `expected`. */
export function enter(word: number, expected: number, { note, arrival, first = false }: Entry = {}): number {
  const bucket = bucketOf(word);
  const node = takeNode();
  words[node + NODE.WORD] = word;
  for (let i = 0; i < NOTE_WORDS; i++) words[node + NODE.NOTE + i] = note?.[i] ?? 0;
  if (arrival !== undefined) words[node + NODE.NOTE] = arrival;
  lockBucket(bucket);
  Atomics.store(words, node + NODE.STATE, NODE_STATE.WAITING);
  const later = first && arrival !== undefined ? laterThan(arrival, word, bucket) : 0;
  if (later !== 0) insert(bucket, node, later);
  else if (first && arrival === undefined) prepend(bucket, node);
  else append(bucket, node);
  // SYNC POINT with wake(): in line first, then the look at the word; there the word first, then the look at the line.
  const entered = Atomics.load(words, word) === expected;
  if (!entered) remove(bucket, node);
  unlock(bucket + BUCKET.LOCK);
  if (entered) return node;
  freeNode(node);
  return 0;
}

/** The first in line at `word` that came later; 0: none did. */
function laterThan(arrival: number, word: number, bucket: number): number {
  let node = words[bucket + BUCKET.HEAD];
  while (node !== 0 && (words[node + NODE.WORD] !== word || !isLater(words[node + NODE.NOTE], arrival)))
    node = words[node + NODE.NEXT];
  return node;
}

/** Of two arrivals: did the first one come later? */
export function isLater(one: number, other: number): boolean {
  return ((one - other) | 0) > 0;
}

/** Has nobody woken it yet? */
export function isWaiting(node: number): boolean {
  return Atomics.load(words, node + NODE.STATE) === NODE_STATE.WAITING;
}

/** Leaves the line. False: somebody has woken it, which counts. */
export function withdraw(node: number): boolean {
  if (!isWaiting(node)) return false;
  const bucket = bucketOf(words[node + NODE.WORD]);
  lockBucket(bucket);
  const withdrawn = isWaiting(node);
  if (withdrawn) remove(bucket, node);
  unlock(bucket + BUCKET.LOCK);
  if (withdrawn) freeNode(node);
  return withdrawn;
}

/** Takes what the waker of `node` handed over, and gives the node back. */
export function take(node: number): number {
  const token = words[node + NODE.TOKEN];
  if (Atomics.load(words, node + NODE.STATE) === NODE_STATE.WOKEN) {
    // Its waker is still busy with it, or has died over it; having had the lock, we know that it is out of line.
    const bucket = bucketOf(words[node + NODE.WORD]);
    lockBucket(bucket);
    unlock(bucket + BUCKET.LOCK);
  }
  freeNode(node);
  return token;
}

/**
 * Takes all nodes of a thread out of line, and passes on the wakes that it did not live to see. Afterwards nobody refers
 * to them. Can be done again from any step.
 */
export function clearLines(tag: number): void {
  const index = indexOf(tag);
  const buckets = new Set<number>();
  for (const node of nodesOf(index)) {
    Atomics.compareExchange(words, node + NODE.STATE, NODE_STATE.WAITING, NODE_STATE.FREE);
    buckets.add(bucketOf(words[node + NODE.WORD]));
  }
  for (const bucket of buckets) {
    lockBucket(bucket);
    repair(bucket);
    unlock(bucket + BUCKET.LOCK);
  }
  for (const node of nodesOf(index)) {
    if (words[node + NODE.STATE] === NODE_STATE.FREE) continue;
    if (words[node + NODE.PASS_ON] === 1)
      wake(words[node + NODE.WORD], 1, { token: words[node + NODE.TOKEN] });
    Atomics.store(words, node + NODE.STATE, NODE_STATE.FREE);
  }
}
