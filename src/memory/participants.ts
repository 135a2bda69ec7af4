import { OutOfMemoryError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { startOfRunning } from '../native/running.js';
import { attach, words } from './commons.js';
import {
  HEADER,
  MAX_PARTICIPANTS,
  PARTICIPANT,
  PARTICIPANT_STATE,
  PARTICIPANT_WORDS,
  PARTICIPANTS,
} from './layout.js';

/*
 * Who uses the commons: one record a thread. Its number, together with the record's generation, is its tag: a
 * number from 1 to 2³⁰ − 1 that marks what it owns (locks, blocks) and is never mistaken for a later user of the
 * same record (short of 65,536 users of one record while the mark stays).
 *
 * A record is claimed by setting its pid from 0, and given back by setting it to 0 as the last step: whoever dies
 * between those two can be told by it.
 */
const INDEX_BITS = 14;
const INDEX_MASK = (1 << INDEX_BITS) - 1;
const GENERATION_MASK = 0xffff;

/** A tag that nobody ever has: known to be dead. */
export const NOBODY = 1 << INDEX_BITS;

let own = 0;

/** Word index of the record of participant `index`. */
export function record(index: number): number {
  return PARTICIPANTS + index * PARTICIPANT_WORDS;
}

/** The number of the record that `tag` names. */
export function indexOf(tag: number): number {
  return tag & INDEX_MASK;
}

/** The tag of the present user of record `index`. */
export function tagOf(index: number): number {
  return (
    ((Atomics.load(words, record(index) + PARTICIPANT.GENERATION) & GENERATION_MASK) << INDEX_BITS) | index
  );
}

/** This thread's tag; joins the commons at the first call. */
export function self(): number {
  if (own === 0) own = join();
  return own;
}

function join(): number {
  attach();
  // In one step, as far as this thread is concerned: see native/participants.c.
  const index = native.join();
  if (index < 0)
    throw new OutOfMemoryError(
      `Cannot attach to shared memory as ${MAX_PARTICIPANTS - 1} threads are attached already: end some of them`,
    );
  return tagOf(index);
}

/** The kernel's ids of this process's threads that use the commons. */
export function threadIds(): Set<number> {
  const found = new Set<number>();
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++) {
    const at = record(index);
    if (Atomics.load(words, at + PARTICIPANT.PID) !== process.pid) continue;
    if (Atomics.load(words, at + PARTICIPANT.STATE) === PARTICIPANT_STATE.LIVE)
      found.add(words[at + PARTICIPANT.TID]);
  }
  return found;
}

/**
 * This thread has given back all it had. `last`: its process ends now, and whoever reaps that gives the record back.
 */
export function leave({ last }: { last: boolean }): void {
  if (own === 0) return;
  if (last) Atomics.store(words, record(indexOf(own)) + PARTICIPANT.STATE, PARTICIPANT_STATE.LEFT);
  else giveBack(indexOf(own));
  own = 0;
}

/** Gives back a record whose user is gone and has nothing left. */
export function giveBack(index: number): void {
  const at = record(index);
  const pid = Atomics.load(words, at + PARTICIPANT.PID);
  Atomics.store(words, at + PARTICIPANT.STATE, PARTICIPANT_STATE.FREE);
  // Others may be giving it back, too (native/endings.c), and the next have claimed it already.
  Atomics.compareExchange(words, at + PARTICIPANT.PID, pid, 0);
}

/** In a forked child: what was copied of the parent's identity is not ours. */
export function forget(): void {
  own = 0;
}

/** Has the end of the thread with this tag been told? "No" may be late: see isAlive(). */
export function isKnownDead(tag: number): boolean {
  const index = indexOf(tag);
  const state = record(index) + PARTICIPANT.STATE;
  return Atomics.load(words, state) !== PARTICIPANT_STATE.LIVE || tagOf(index) !== tag;
}

/**
 * Is the thread with this tag alive? Asks the kernel, so not for hot paths. A stopped one is alive; a zombie is not.
 * The answer "no" is final.
 */
export function isAlive(tag: number): boolean {
  const index = indexOf(tag);
  const at = record(index);
  if (tagOf(index) !== tag || Atomics.load(words, at + PARTICIPANT.STATE) !== PARTICIPANT_STATE.LIVE)
    return false;
  // The thread's, not the process's: a Worker that is terminated ends at any instruction too, and its process lives on.
  const start = (words[at + PARTICIPANT.START_LOW] >>> 0) + words[at + PARTICIPANT.START_HIGH] * 2 ** 32;
  return startOfRunning(words[at + PARTICIPANT.TID]) === start;
}
