import { onProcessOwner } from '../channel/lifeline.js';
import { storeWithTickets, type Tickets } from '../channel/tickets.js';
import { OutOfMemoryError } from '../errors/errors.js';
import { free, PROCESS_OWNER, takeOver, transfer } from '../memory/allocator.js';
import { attach, words } from '../memory/commons.js';
import { HEADER, MAX_PROCESSES, PROCESS, PROCESS_STATE, PROCESS_WORDS, PROCESSES } from '../memory/layout.js';
import { messageAt, serialOf } from '../memory/message.js';
import { isKnownDead, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { onDeath } from '../wait/deaths.js';

/*
 * The records of started processes in the commons; native/layout.h says what their words mean and
 * native/forkserver.c who moves their state.
 *
 * A record is claimed by setting its owner from 0 and given back by setting it to 0, last. One whose owner has died is
 * taken back by the next who looks for a free one, once its process has ended too; what it holds and nobody will read is freed
 * before that, after its owner's death.
 */

/** Whether a target returned or threw. */
export const OUTCOME = { NONE: 0, RETURNED: 1, THREW: 2 } as const;

/** States that the fork server or the process itself will move on. */
const UNDER_WAY = new Set<number>([
  PROCESS_STATE.REQUESTED,
  PROCESS_STATE.FORKING,
  PROCESS_STATE.RUNNING,
  PROCESS_STATE.ENDING,
]);

/** Those in which its process has yet to begin or to end. */
const ON_THE_WAY = new Set<number>([PROCESS_STATE.REQUESTED, PROCESS_STATE.FORKING, PROCESS_STATE.RUNNING]);

/** Index of the word `field` (of PROCESS) of record `index`. */
export function wordOf(index: number, field: number): number {
  return PROCESSES + index * PROCESS_WORDS + field;
}

export function read(index: number, field: number): number {
  return Atomics.load(words, wordOf(index, field));
}

export function write(index: number, field: number, value: number): void {
  Atomics.store(words, wordOf(index, field), value);
}

/** The low bits of the state word; the others number attempts to start, see native/layout.h. */
const STATE_MASK = 0xff;
const ATTEMPT = 0x100;

/** Which of PROCESS_STATE `word`, a state word, tells. */
export function stateIn(word: number): number {
  return word & STATE_MASK;
}

export function recordState(index: number): number {
  return stateIn(read(index, PROCESS.STATE));
}

/** `word` with another state, and about the same attempt. */
function withState(word: number, state: number): number {
  return (word & ~STATE_MASK) | state;
}

/** Moves the state from one to another. False: it was not `from`. */
export function move(index: number, from: number, to: number): boolean {
  const seen = read(index, PROCESS.STATE);
  return stateIn(seen) === from && swap(index, seen, withState(seen, to));
}

/** Changes the state word from one to another. False: it was not `from`. */
function swap(index: number, from: number, to: number): boolean {
  return Atomics.compareExchange(words, wordOf(index, PROCESS.STATE), from, to) === from;
}

/** A server took the request, and died. Makes it a new one: a child of the old, should there be one, will give up. */
export function requestAgain(index: number): void {
  const seen = read(index, PROCESS.STATE);
  if (stateIn(seen) === PROCESS_STATE.FORKING)
    swap(index, seen, withState(seen + ATTEMPT, PROCESS_STATE.REQUESTED));
}

const INDEX_BITS = 14;
const INDEX_MASK = (1 << INDEX_BITS) - 1;

/** The owner mark of blocks that live as long as the record is in use. */
function ownerTag(index: number): number {
  return PROCESS_OWNER | ((read(index, PROCESS.GENERATION) & 0xffff) << INDEX_BITS) | index;
}

/** What a new use of a record begins without. */
const CLEARED = [
  PROCESS.PAYLOAD,
  PROCESS.RESULT,
  PROCESS.PID,
  PROCESS.STATUS,
  PROCESS.FLAGS,
  PROCESS.OUTCOME,
  PROCESS.GUARDIAN,
];

/** Takes a free record for a process that this thread is about to start. */
export function claimRecord(): number {
  attach();
  const me = self();
  for (let index = 0; index < MAX_PROCESSES; index++) {
    if (!take(index, me)) continue;
    let used = Atomics.load(words, HEADER.PROCESSES_USED);
    while (used <= index) used = Atomics.compareExchange(words, HEADER.PROCESSES_USED, used, index + 1);
    drop(index, PROCESS.PAYLOAD);
    drop(index, PROCESS.RESULT);
    write(index, PROCESS.GENERATION, read(index, PROCESS.GENERATION) + 1);
    // A block that went with who had made it, or taken it, may still be named.
    for (const field of CLEARED) write(index, field, 0);
    write(index, PROCESS.STATE, withState(read(index, PROCESS.STATE) + ATTEMPT, PROCESS_STATE.CLAIMED));
    return index;
  }
  throw new OutOfMemoryError(
    `Cannot start a process as ${MAX_PROCESSES} are known already: join some of them`,
  );
}

/** Makes a record this thread's if it is nobody's, or if its owner has died and nothing moves its state any more. */
function take(index: number, me: number): boolean {
  const owner = wordOf(index, PROCESS.OWNER);
  const word = read(index, PROCESS.STATE); // first: see callOff()
  const seen = Atomics.load(words, owner);
  if (seen !== 0) {
    if (!isKnownDead(seen) || !isOver(index, word)) return false;
  }
  return Atomics.compareExchange(words, owner, seen, me) === seen;
}

/** Does nothing move the state any more of a record whose owner is dead? */
function isOver(index: number, word: number): boolean {
  callOff(index, word);
  // One that was spawned, or whose fork server was killed too, may have ended with nobody to write it down.
  return !UNDER_WAY.has(recordState(index)) || native.processStat(read(index, PROCESS.PID)) === undefined;
}

/**
 * Its starter is dead: a process that was still to begin does not. `word`: its state as it was before that was asked, as somebody may take
 * the record meanwhile.
 */
function callOff(index: number, word: number): void {
  const state = stateIn(word);
  if (state === PROCESS_STATE.REQUESTED || state === PROCESS_STATE.FORKING)
    swap(index, word, withState(word, PROCESS_STATE.CANCELLED));
}

/** Gives a record back, with what it still holds. */
export function releaseRecord(index: number): void {
  drop(index, PROCESS.PAYLOAD);
  drop(index, PROCESS.RESULT);
  write(index, PROCESS.STATE, withState(read(index, PROCESS.STATE), PROCESS_STATE.FREE));
  write(index, PROCESS.OWNER, 0);
}

/** Frees the block that a record's `field` names, if any and if it is the record's; only one of several who try does. */
export function drop(index: number, field: number, owner = ownerTag(index)): void {
  const word = wordOf(index, field);
  const handle = Atomics.load(words, word) >>> 0;
  if (handle === 0) return;
  // First it is this thread's, so that it goes with that should it be killed before the end.
  if (!takeOver(handle, owner, self())) return;
  Atomics.compareExchange(words, word, handle | 0, 0);
  free(handle);
}

/*
 * What nobody will read any more goes with its reader. Also that of readers who died before: a process that publishes its result
 * later has this done at its own end.
 */
onDeath(tag => {
  for (let index = 0; index < Atomics.load(words, HEADER.PROCESSES_USED); index++) {
    // In this order: somebody may take the record meanwhile, but not with the same mark.
    const mark = ownerTag(index);
    const word = read(index, PROCESS.STATE);
    const owner = read(index, PROCESS.OWNER);
    if (owner !== tag && (owner === 0 || !isKnownDead(owner))) continue;
    drop(index, PROCESS.RESULT, mark);
    callOff(index, word);
    if (!UNDER_WAY.has(recordState(index))) drop(index, PROCESS.PAYLOAD, mark);
  }
});

/**
 * Lets a record's `field` name a new block that holds `message`, and the ends of pipes in it are held open by that. The block is this
 * thread's until it is named: who dies before that takes it along, and what drop() then finds is not the record's.
 */
export function put(index: number, field: number, message: Uint8Array, tickets: Tickets | null): void {
  const me = self();
  const handle = storeWithTickets(message, me, tickets);
  write(index, field, handle);
  transfer(handle, me, ownerTag(index));
}

/** Are ends of pipes held open by the message that `field` names? */
export function isCarrier(index: number, field: number): boolean {
  const handle = read(index, field) >>> 0;
  return handle !== 0 && serialOf(handle) !== 0;
}

/** Makes the block that `field` names this thread's: its handle; 0: there is none. */
export function takeBlock(index: number, field: number): number {
  const handle = read(index, field) >>> 0;
  if (handle !== 0) transfer(handle, ownerTag(index), self());
  write(index, field, 0);
  return handle;
}

/* Arguments hold ends of pipes open until their process has decoded them or ended; a result, until its reader has or has ended. */
onProcessOwner((owner, handle) => {
  const index = owner & INDEX_MASK;
  if (ownerTag(index) !== owner) return false;
  const starterIsDead = isKnownDead(read(index, PROCESS.OWNER));
  if (read(index, PROCESS.RESULT) >>> 0 === handle) return !starterIsDead;
  const state = recordState(index);
  if (state === PROCESS_STATE.CLAIMED) return !starterIsDead;
  return ON_THE_WAY.has(state);
});

/** The message that `field` names, in place; undefined: none. */
export function peek(index: number, field: number): Uint8Array | undefined {
  const handle = read(index, field) >>> 0;
  return handle === 0 ? undefined : messageAt(handle);
}
