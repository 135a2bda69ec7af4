import { allocate, offsetOf } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { PARTICIPANT } from '../memory/layout.js';
import { indexOf, record, self } from '../memory/participants.js';

/*
 * Nodes: one for each wait that is in line. They lie in blocks of the commons that belong to the waiting thread and
 * hang, as a chain, on its participant record; a node is named by its word index.
 *
 *   FREE     nobody's
 *   WAITING  in line
 *   WOKEN    a waker has decided for it, and is still busy with it
 *   OUT      the same, and nobody but its owner refers to it any more
 *
 * Only its owner makes a node WAITING or FREE, and only under the lock of its bucket does it become anything else.
 *
 * A block begins with the next block's name and one bit a node: this one was woken. The bits are hints that spare the
 * owner a look at every node; a bit too many is harmless, and after a death the states themselves are looked at.
 */
export const NODE = {
  STATE: 0,
  /** What is waited on. Stays when the node is free again. */
  WORD: 1,
  /** Tag of the waiting thread. */
  OWNER: 2,
  NEXT: 3,
  PREVIOUS: 4,
  /** What the waker hands over. */
  TOKEN: 5,
  /** 1: should the owner die before it has seen the wake, the next in line gets it. */
  PASS_ON: 6,
  /** Which of its owner's wakes this is. */
  ORDER: 7,
  /** Its place in the block. */
  NUMBER: 8,
  /** What it waits for, in words that mean something to the user of the line alone: 3 words. */
  NOTE: 9,
  /** For the layer above to tell of this wait what others of the family may read: 4 words. */
  REMARKS: 12,
} as const;
export const NOTE_WORDS = 3;
export const NODE_STATE = { FREE: 0, WAITING: 1, WOKEN: 2, OUT: 3 } as const;

const NODE_WORDS = 16;
/** So many that a block is a little smaller than 4 KiB. */
const NODES_PER_BLOCK = 62;
const BLOCK = { NEXT: 0, WOKEN: 1, NODES: 16 } as const;
const WOKEN_WORDS = 2;

const blocks: number[] = [];
const free: number[] = [];

/** A node of this thread's. @throws {OutOfMemoryError} */
export function takeNode(): number {
  if (free.length === 0) addBlock();
  return free.pop() as number;
}

/** Gives a node back that is out of line. */
export function freeNode(node: number): void {
  Atomics.store(words, node + NODE.STATE, NODE_STATE.FREE);
  free.push(node);
}

function addBlock(): void {
  const me = self();
  const chain = record(indexOf(me)) + PARTICIPANT.NODES;
  const block =
    offsetOf(allocate((BLOCK.NODES + NODES_PER_BLOCK * NODE_WORDS) * 4, { owner: me, zero: true })) / 4;
  words[block + BLOCK.NEXT] = words[chain];
  for (let number = NODES_PER_BLOCK - 1; number >= 0; number--) {
    const node = block + BLOCK.NODES + number * NODE_WORDS;
    words[node + NODE.OWNER] = me;
    words[node + NODE.NUMBER] = number;
    free.push(node);
  }
  Atomics.store(words, chain, block);
  blocks.push(block);
}

/** All nodes of participant `index` that were ever used. */
export function* nodesOf(index: number): Generator<number> {
  for (let block = Atomics.load(words, record(index) + PARTICIPANT.NODES); block !== 0; ) {
    for (let number = 0; number < NODES_PER_BLOCK; number++) {
      const node = block + BLOCK.NODES + number * NODE_WORDS;
      if (words[node + NODE.WORD] !== 0) yield node;
    }
    block = words[block + BLOCK.NEXT];
  }
}

/** How many blocks participant `index` has for its nodes. */
export function blocksOfNodes(index: number): number {
  let count = 0;
  for (let block = Atomics.load(words, record(index) + PARTICIPANT.NODES); block > 0; block = words[block])
    count++;
  return count;
}

/** The owner of this node is to look at it. */
export function flag(node: number): void {
  const number = words[node + NODE.NUMBER];
  const block = node - number * NODE_WORDS - BLOCK.NODES;
  Atomics.or(words, block + BLOCK.WOKEN + (number >>> 5), 1 << (number & 31));
}

/** Takes down the flags of this thread's nodes: which they were, in no order. */
export function takeFlagged(): number[] {
  const flagged: number[] = [];
  for (const block of blocks) {
    for (let i = 0; i < WOKEN_WORDS; i++) {
      const word = block + BLOCK.WOKEN + i;
      if (Atomics.load(words, word) === 0) continue;
      for (let bits = Atomics.exchange(words, word, 0); bits !== 0; bits &= bits - 1) {
        const number = i * 32 + 31 - Math.clz32(bits & -bits);
        flagged.push(block + BLOCK.NODES + number * NODE_WORDS);
      }
    }
  }
  return flagged;
}

/** In a forked child: the nodes known here are the parent's. */
export function forgetNodes(): void {
  blocks.length = 0;
  free.length = 0;
}
