import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE, PARTICIPANT_WORDS } from '../memory/layout.js';
import { indexOf, isKnownDead, record, self, tagOf } from '../memory/participants.js';

/*
 * Who the threads of this process are, for all of them to read: in the record that each has in the commons. A thread writes it as it
 * begins, and it is gone with the record.
 *
 *   IDENT   its ident; 0: it has not said, or is no thread of this library
 *   ABOUT   bit 0: a daemon; bit 1: its name is being changed; the rest: +1 after each change
 *   NAME    in UTF-8, up to a zero byte or the end
 */
const IDENT = PARTICIPANT.WHO;
const ABOUT = PARTICIPANT.WHO + 1;
const NAME = PARTICIPANT.WHO + 2;

const DAEMON = 1;
const CHANGE = 2;
/** So much of a name can be read by other threads. */
const NAME_BYTES = 4 * (PARTICIPANT_WORDS - NAME);
/** Who tries so often has met one that was ended while it changed the name. */
const ATTEMPTS = 100;

export interface Entry {
  /** Its participant. */
  readonly tag: number;
  readonly ident: number;
  readonly nativeId: number;
  readonly daemon: boolean;
}

interface Self {
  readonly ident: number;
  readonly name: string;
  readonly daemon: boolean;
}

let own: Self | undefined;

/** Who this thread has said that it is; its name may be another by now. */
export function enrolledSelf(): Self | undefined {
  return own;
}

/** This thread says who it is. */
export function enrol(who: Self): void {
  own = who;
  const { ident, name, daemon } = who;
  const at = record(indexOf(self()));
  words[at + ABOUT] = daemon ? DAEMON : 0;
  writeName(at, name);
  Atomics.store(words, at + IDENT, ident);
}

/** The threads of this process that have said who they are, and live. */
export function enrolled(): Entry[] {
  const found: Entry[] = [];
  if (words.length === 0) return found; // nobody can have
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++) {
    const at = record(index);
    const ident = Atomics.load(words, at + IDENT);
    if (ident === 0 || Atomics.load(words, at + PARTICIPANT.PID) !== process.pid) continue;
    const tag = tagOf(index);
    const nativeId = words[at + PARTICIPANT.TID];
    const daemon = (words[at + ABOUT] & DAEMON) !== 0;
    // All of it was one thread's if that is there still.
    if (Atomics.load(words, at + PARTICIPANT.STATE) === PARTICIPANT_STATE.LIVE && !isKnownDead(tag))
      found.push({ tag, ident, nativeId, daemon });
  }
  return found;
}

/** Which of its names the thread has now: 1 the one it began with, another number after each change; 0: it has not said. */
export function nameVersion(tag: number): number {
  return Atomics.load(words, record(indexOf(tag)) + ABOUT) >>> 2;
}

/** What the thread is called, as far as others can read it; undefined: it has ended. */
export function nameOf(tag: number): string | undefined {
  const at = record(indexOf(tag));
  const name = Buffer.alloc(NAME_BYTES);
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const about = Atomics.load(words, at + ABOUT);
    for (let i = 0; i < NAME_BYTES; i += 4) name.writeInt32LE(Atomics.load(words, at + NAME + i / 4), i);
    if ((about & CHANGE) === 0 && Atomics.load(words, at + ABOUT) === about) break;
  }
  const length = name.indexOf(0);
  return isKnownDead(tag) ? undefined : name.toString('utf8', 0, length < 0 ? NAME_BYTES : length);
}

/** Gives the thread another name, for all to read, if it is there still. */
export function rename(tag: number, name: string): void {
  if (!isKnownDead(tag)) writeName(record(indexOf(tag)), name);
}

function writeName(at: number, name: string): void {
  const bytes = Buffer.alloc(NAME_BYTES);
  bytes.write(name); // whole characters only
  let about = Atomics.load(words, at + ABOUT) & ~CHANGE;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const seen = Atomics.compareExchange(words, at + ABOUT, about, about + CHANGE);
    if (seen === about) break;
    about = seen & ~CHANGE;
  }
  for (let i = 0; i < NAME_BYTES; i += 4) Atomics.store(words, at + NAME + i / 4, bytes.readInt32LE(i));
  Atomics.store(words, at + ABOUT, (about + 2 * CHANGE) | 0);
}
