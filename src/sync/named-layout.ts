/*
 * Word indices in the memory of a name. All of it is zero at birth, so zero means "free" everywhere.
 *
 *   header     what it is; counters; the lock of the line
 *   members    one record a thread that uses it
 *   nodes      one record a wait
 *   object     the words of what is shared
 */
export const HEADER = {
  /** Written last: without it, the maker has not come to the end. */
  MAGIC: 0,
  VERSION: 1,
  /** How many words the object has. */
  WORDS: 2,
  /** High-water mark: member records from here on were never used. */
  MEMBERS_USED: 3,
  /** +1 for each member whose end has been seen to: then all who wait look again. */
  DEATHS: 4,
  /** When somebody last asked the kernel who lives, in ms of the machine's monotonic clock. */
  ASKED: 5,
  /** The next ticket, as a 64-bit float. */
  TICKET: 8,
  /** The lock of the line. */
  LOCK: 16,
  /** Nodes from here on are free. */
  HIGH: 32,
} as const;

export const MAGIC = 0x6d686e6d;
/** To be raised whenever programs with the code before could not share memory with those that have the code after. */
export const VERSION = 1;

export const MEMBERS = 64;
export const MEMBER_WORDS = 16;
export const INDEX_BITS = 10;
export const MAX_MEMBERS: number = 1 << INDEX_BITS;
export const MEMBER = {
  /** One of MEMBER_STATE, and above that which use of the record this is. */
  STATE: 0,
  PID: 1,
  TID: 2,
  START_LOW: 3,
  START_HIGH: 4,
  /** Write end of its doorbell, as numbered in its process; 0: none yet. */
  BELL_FD: 5,
  /** Low word of that pipe's inode: proves that the number still means that pipe. */
  BELL_INODE: 6,
  /** How often a wait of this thread was woken. */
  WOKEN: 7,
} as const;
export const STATE_BITS = 2;
export const MEMBER_STATE = { FREE: 0, LIVE: 1, DEAD: 2 } as const;

export const NODES: number = MEMBERS + MAX_MEMBERS * MEMBER_WORDS;
export const NODE_WORDS = 16;
export const MAX_NODES = 16_384;
export const NODE = {
  STATE: 0,
  /** What is waited on. */
  WORD: 1,
  /** Tag of the waiting thread. */
  OWNER: 2,
  /** 1: should the owner die before it has seen the wake, the next in line gets it. */
  PASS_ON: 3,
  /** Its place in line, as a 64-bit float: the lowest comes first. */
  TICKET: 4,
  /** What the waker hands over. */
  TOKEN: 6,
  /** Which of its owner's wakes this is. */
  ORDER: 7,
  /** 1: its thread sleeps on STATE. 0: it is told by its doorbell. */
  BLOCKING: 8,
  /** What it waits for: 3 words. */
  NOTE: 9,
} as const;
export const NODE_STATE = { FREE: 0, WAITING: 1, WOKEN: 2, OUT: 3 } as const;

export const OBJECT: number = NODES + MAX_NODES * NODE_WORDS;
