import { words } from '../memory/commons.js';
import { BUCKET_WORDS, BUCKETS, MAX_BUCKETS } from '../memory/layout.js';
import { lock } from '../memory/robust-lock.js';
import { NODE, NODE_STATE } from './nodes.js';

/*
 * Buckets: the lines in which nodes stand. All who wait on one word stand in one bucket, first come first; a bucket
 * serves many words. It is a list under a robust lock:
 *
 *   LOCK   who works on it
 *   HEAD   the first node; 0: nobody waits, which a waker may read without the lock
 *   TAIL   the last
 *
 * HEAD and NEXT are the truth, TAIL and PREVIOUS follow from them. A node enters by one store (of HEAD or of its
 * predecessor's NEXT) and leaves by one, so repair() can always walk the list, wherever its last holder died.
 */
export const BUCKET = { LOCK: 0, HEAD: 1, TAIL: 2 } as const;

const SHIFT = 32 - Math.log2(MAX_BUCKETS);

/** The bucket for `word`. Multiplicative hashing, after D. Knuth, "The Art of Computer Programming" 3, 6.4. */
export function bucketOf(word: number): number {
  return BUCKETS + (Math.imul(word, 0x9e3779b1) >>> SHIFT) * BUCKET_WORDS;
}

export function lockBucket(bucket: number): void {
  lock(bucket + BUCKET.LOCK, () => repair(bucket));
}

/** Puts a node at the end of the line. Needs the lock, as all below. */
export function append(bucket: number, node: number): void {
  const tail = words[bucket + BUCKET.TAIL];
  words[node + NODE.NEXT] = 0;
  words[node + NODE.PREVIOUS] = tail;
  Atomics.store(words, tail === 0 ? bucket + BUCKET.HEAD : tail + NODE.NEXT, node);
  words[bucket + BUCKET.TAIL] = node;
}

/** Puts a node at the head of the line. */
export function prepend(bucket: number, node: number): void {
  const head = words[bucket + BUCKET.HEAD];
  if (head === 0) append(bucket, node);
  else insert(bucket, node, head);
}

/** Puts a node in front of another. */
export function insert(bucket: number, node: number, next: number): void {
  const previous = words[next + NODE.PREVIOUS];
  words[node + NODE.NEXT] = next;
  words[node + NODE.PREVIOUS] = previous;
  Atomics.store(words, previous === 0 ? bucket + BUCKET.HEAD : previous + NODE.NEXT, node);
  words[next + NODE.PREVIOUS] = node;
}

/** Takes a node out of the line. */
export function remove(bucket: number, node: number): void {
  const next = words[node + NODE.NEXT];
  const previous = words[node + NODE.PREVIOUS];
  Atomics.store(words, previous === 0 ? bucket + BUCKET.HEAD : previous + NODE.NEXT, next);
  words[next === 0 ? bucket + BUCKET.TAIL : next + NODE.PREVIOUS] = previous;
}

/** Brings the list into order from any step at which its last holder died, and takes out all that no longer wait. */
export function repair(bucket: number): void {
  let previous = 0;
  for (let node = words[bucket + BUCKET.HEAD]; node !== 0; node = words[node + NODE.NEXT]) {
    if (words[node + NODE.STATE] === NODE_STATE.WAITING) {
      words[node + NODE.PREVIOUS] = previous;
      previous = node;
    } else {
      const link = previous === 0 ? bucket + BUCKET.HEAD : previous + NODE.NEXT;
      Atomics.store(words, link, words[node + NODE.NEXT]);
    }
  }
  words[bucket + BUCKET.TAIL] = previous;
}
