import { native } from '../native/native.js';

/*
 * Word indices in the commons. The records are those of native/layout.h, which says what each word means; offsets
 * within a record are given here a second time, in the same order.
 */
const { layout } = native;

export const PAGE_BYTES = layout.pageBytes;
/** Where the high zone starts: everything below is within reach of one view. */
export const LOW_BYTES = layout.lowBytes;

export const HEADER = {
  PAGES: 1,
  FIRST_PAGE: 2,
  PARTICIPANTS_USED: 3,
  PROCESSES_USED: 4,
  SERVER_EPOCH: 5,
  DEATHS: 6,
  SERVER_BIRTHS: 7,
  GUARDIAN_DEATHS: 8,
  SERVER_PAIRS: 9,
} as const;
/** 32 words for the allocator, 32 for the wait queues, 32 for synchronisation objects. */
export const ALLOCATOR = layout.allocatorOffset / 4;
export const WAITING = layout.waitingOffset / 4;
export const SYNC = layout.syncOffset / 4;
/** Eight words. */
export const AUTHKEY = layout.authkeyOffset / 4;

export const PARTICIPANTS = layout.participantsOffset / 4;
export const PARTICIPANT_WORDS = layout.participantBytes / 4;
export const MAX_PARTICIPANTS = layout.maxParticipants;
export const PARTICIPANT = {
  STATE: 0,
  GENERATION: 1,
  PID: 2,
  START_LOW: 3,
  START_HIGH: 4,
  TID: 5,
  DOORBELL_FD: 6,
  DOORBELL_INODE: 7,
  RUNG: 8,
  SIGNAL: 9,
  SLEEPING: 10,
  REASONS: 11,
  PROCESS: 12,
  READY: 13,
  NODES: 14,
  KIN: 15,
  WHO: 16,
} as const;
export const PARTICIPANT_STATE = { FREE: 0, LIVE: 1, DEAD: 2, LEFT: 3 } as const;

export const PROCESSES = layout.processesOffset / 4;
export const PROCESS_WORDS = layout.processBytes / 4;
export const MAX_PROCESSES = layout.maxProcesses;
export const PROCESS = {
  STATE: 0,
  PID: 1,
  GENERATION: 2,
  STATUS: 3,
  OWNER: 4,
  FLAGS: 5,
  PAYLOAD: 6,
  RESULT: 7,
  OUTCOME: 8,
  GUARDIAN: 9,
} as const;
export const PROCESS_STATE = {
  FREE: 0,
  CLAIMED: 1,
  REQUESTED: 2,
  FORKING: 3,
  RUNNING: 4,
  EXITED: 5,
  FAILED: 6,
  CANCELLED: 7,
  ENDING: 8,
} as const;
export const PROCESS_FLAG = { DAEMON: 1, SPAWNED: 2, OUT_OF_HEAP: 4, OUT_OF_TIME: 8 } as const;

export const BUCKETS = layout.bucketsOffset / 4;
export const BUCKET_WORDS = 4;
export const MAX_BUCKETS = layout.maxBuckets;

export const PAGES = layout.pagesOffset / 4;
export const PAGE_RECORD_WORDS = layout.pageRecordBytes / 4;
/** What the words mean depends on HEAD: see pages.ts. */
export const PAGE = { HEAD: 0, OWNER: 1, NEXT: 2, PREVIOUS: 3 } as const;

/** Why a thread was rung; bits. */
export const REASON = { WAKE: 1, CHILD: 2, DEATH: 4, CHANNEL: 8 } as const;
