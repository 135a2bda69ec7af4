import { constants, fstatSync, writeSync } from 'node:fs';
import { OutOfMemoryError } from '../errors/errors.js';
import { words as commons } from '../memory/commons.js';
import { PARTICIPANT } from '../memory/layout.js';
import { indexOf, record, self } from '../memory/participants.js';
import type { Lockable } from '../memory/robust-lock.js';
import { native } from '../native/native.js';
import { openDoorbell } from '../wait/doorbell.js';
import {
  HEADER,
  INDEX_BITS,
  MAX_MEMBERS,
  MEMBER,
  MEMBER_STATE,
  MEMBER_WORDS,
  MEMBERS,
  STATE_BITS,
} from './named-layout.js';

/*
 * The threads that use the memory of a name. A member's tag is the number of its record and which use of the record
 * this is. A record becomes LIVE while nobody else opens the name, DEAD by whoever finds it so, or by its user who leaves,
 * and FREE when all that its user had is seen to. Its state and its use are one word, so no late comer changes
 * the record of a later user.
 *
 * Nobody tells of deaths: members ask the kernel now and then, one of them for all.
 */
const INDEX_MASK = MAX_MEMBERS - 1;
const STATE_MASK = (1 << STATE_BITS) - 1;
const USES = 2 ** (30 - INDEX_BITS);

/** How often the kernel is asked who lives, ms; a little less than how often those who wait look. */
const PERIOD = 45;
/** ms more for each record. */
const PERIOD_EACH = 0.5;

const { FREE, LIVE, DEAD } = MEMBER_STATE;
const STROKE = Buffer.from('!');

function at(index: number): number {
  return MEMBERS + index * MEMBER_WORDS;
}

/** What the state word of the member with this tag holds while it is in `state`. */
function stateWord(tag: number, state: number): number {
  return ((tag >>> INDEX_BITS) << STATE_BITS) | state;
}

function tagAt(index: number, word: number): number {
  return ((word >>> STATE_BITS) << INDEX_BITS) | index;
}

export class Members implements Lockable {
  readonly words: Int32Array;
  /** This thread's tag; 0: it is no member, or not any more. */
  #own = 0;
  /** Write ends of others' doorbells, by tag. */
  readonly #bells = new Map<number, number>();
  /** When to look next whether it is time to ask the kernel. */
  #nextLook = 0;
  readonly #rejoin: () => void;

  constructor(words: Int32Array, rejoin: () => void) {
    this.words = words;
    this.#rejoin = rejoin;
  }

  self(): number {
    if (this.#own === 0) this.#rejoin();
    return this.#own;
  }

  get isJoined(): boolean {
    return this.#own !== 0;
  }

  /** Makes this thread a member. To be called while nobody else opens the name. */
  join(): void {
    const { words } = this;
    const index = this.#freeRecord();
    const record = at(index);
    const use = ((words[record + MEMBER.STATE] >>> STATE_BITS) + 1) % USES || 1;
    const tid = native.threadId();
    const start = native.processStat(tid)?.[2] ?? 0;
    words.fill(0, record + 1, record + MEMBER_WORDS);
    words[record + MEMBER.PID] = native.processId();
    words[record + MEMBER.TID] = tid;
    words[record + MEMBER.START_LOW] = start | 0;
    words[record + MEMBER.START_HIGH] = Math.floor(start / 2 ** 32);
    if (index >= words[HEADER.MEMBERS_USED]) Atomics.store(words, HEADER.MEMBERS_USED, index + 1);
    Atomics.store(words, record + MEMBER.STATE, (use << STATE_BITS) | LIVE);
    this.#own = (use << INDEX_BITS) | index;
  }

  #freeRecord(): number {
    for (let index = 1; index < MAX_MEMBERS; index++)
      if ((Atomics.load(this.words, at(index) + MEMBER.STATE) & STATE_MASK) === FREE) return index;
    throw new OutOfMemoryError(
      `Cannot share memory by this name as ${MAX_MEMBERS - 1} threads do so already: end some of them`,
    );
  }

  futexWait(word: number, expected: number, timeout: number): 0 | 1 | 2 {
    return native.futexWaitIn(this.words, word, expected, timeout);
  }

  futexWake(word: number, count: number): number {
    return native.futexWakeIn(this.words, word, count);
  }

  /** Others can wake this thread's event loop from now on. */
  showBell(): void {
    const record = at(this.self() & INDEX_MASK);
    if (Atomics.load(this.words, record + MEMBER.BELL_FD) !== 0) return;
    openDoorbell();
    const bell = participant();
    this.words[record + MEMBER.BELL_INODE] = commons[bell + PARTICIPANT.DOORBELL_INODE];
    Atomics.store(this.words, record + MEMBER.BELL_FD, commons[bell + PARTICIPANT.DOORBELL_FD]);
  }

  /** How often waits of this thread were woken. */
  get wakes(): number {
    return Atomics.load(this.words, at(this.#own & INDEX_MASK) + MEMBER.WOKEN);
  }

  /** A wait of this member's is woken: which of its wakes that is. */
  countWake(tag: number): number {
    return Atomics.add(this.words, at(tag & INDEX_MASK) + MEMBER.WOKEN, 1);
  }

  /** As far as anyone has said. One load. */
  isLive(tag: number): boolean {
    return Atomics.load(this.words, at(tag & INDEX_MASK) + MEMBER.STATE) === stateWord(tag, LIVE);
  }

  isKnownDead(tag: number): boolean {
    if (!this.isLive(tag)) return true;
    // Who only ever tries, and never waits, must hear of deaths too.
    if (!this.isTimeToAsk()) return false;
    this.markDead();
    return !this.isLive(tag);
  }

  /** Asks the kernel. "No" is final. */
  isAlive(tag: number): boolean {
    if (!this.isLive(tag)) return false;
    const { words } = this;
    const record = at(tag & INDEX_MASK);
    const stat = statOf(words[record + MEMBER.TID]);
    if (stat === 'unknown') return true;
    if (!stat || stat[0] === 'Z' || stat[0] === 'X') return false;
    return stat[2] === (words[record + MEMBER.START_LOW] >>> 0) + words[record + MEMBER.START_HIGH] * 2 ** 32;
  }

  /** Has nobody asked the kernel for a while? Then this thread is to. */
  isTimeToAsk(): boolean {
    const now = performance.now();
    if (now < this.#nextLook) return false;
    const period = PERIOD + PERIOD_EACH * this.words[HEADER.MEMBERS_USED];
    const asked = Atomics.load(this.words, HEADER.ASKED);
    const time = Number(process.hrtime.bigint() / 1_000_000n) | 0;
    const age = (time - asked) | 0;
    const isDue = age < 0 || age >= period;
    this.#nextLook = now + (isDue ? period : period - age);
    return isDue && Atomics.compareExchange(this.words, HEADER.ASKED, asked, time) === asked;
  }

  /** Asks the kernel about all members, and marks those that have ended. */
  markDead(): void {
    for (let index = 1; index < this.words[HEADER.MEMBERS_USED]; index++) {
      const word = Atomics.load(this.words, at(index) + MEMBER.STATE);
      const tag = tagAt(index, word);
      if ((word & STATE_MASK) === LIVE && tag !== this.#own && !this.isAlive(tag)) this.mark(tag);
    }
  }

  /** The member has ended. */
  mark(tag: number): void {
    const state = at(tag & INDEX_MASK) + MEMBER.STATE;
    Atomics.compareExchange(this.words, state, stateWord(tag, LIVE), stateWord(tag, DEAD));
  }

  /** Those that have ended and not yet been seen to. */
  dead(): number[] {
    const dead: number[] = [];
    for (let index = 1; index < this.words[HEADER.MEMBERS_USED]; index++) {
      const word = Atomics.load(this.words, at(index) + MEMBER.STATE);
      if ((word & STATE_MASK) === DEAD) dead.push(tagAt(index, word));
    }
    return dead;
  }

  /** A dead member has nothing left; its record is free. All who wait are to look again. */
  giveBack(tag: number): void {
    // Counted first: if this thread dies in between, the next does both, and one look too many is harmless.
    Atomics.add(this.words, HEADER.DEATHS, 1);
    const state = at(tag & INDEX_MASK) + MEMBER.STATE;
    Atomics.compareExchange(this.words, state, stateWord(tag, DEAD), stateWord(tag, FREE));
  }

  /** Wakes the event loop of another member. It may be gone, or not be reached: then it finds out by its own looks. */
  ring(tag: number): void {
    const bell = this.#bellOf(tag);
    if (bell === undefined) return;
    try {
      writeSync(bell, STROKE);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') this.#dropBell(tag); // else it is rung already
    }
  }

  #bellOf(tag: number): number | undefined {
    const known = this.#bells.get(tag);
    if (known !== undefined) return known;
    const record = at(tag & INDEX_MASK);
    const [pid, number] = [this.words[record + MEMBER.PID], this.words[record + MEMBER.BELL_FD]];
    if (number === 0 || !this.isLive(tag)) return undefined;
    const bell = this.#openWriteEnd(`/proc/${pid}/fd/${number}`);
    if (bell === undefined) return undefined;
    const stat = fstatSync(bell, { bigint: true });
    if (stat.isFIFO() && Number(stat.ino & 0xffff_ffffn) === this.words[record + MEMBER.BELL_INODE] >>> 0) {
      this.#bells.set(tag, bell);
      return bell;
    }
    native.closeGuarded(bell);
    return undefined;
  }

  #openWriteEnd(path: string): number | undefined {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK;
    try {
      return native.openGuarded(path, flags);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if ((code !== 'EMFILE' && code !== 'ENFILE') || this.#bells.size === 0) return undefined;
      this.#dropBells(); // a wake must not be late for want of a descriptor
      return this.#openWriteEnd(path);
    }
  }

  #dropBell(tag: number): void {
    const bell = this.#bells.get(tag);
    this.#bells.delete(tag);
    if (bell !== undefined) native.closeGuarded(bell);
  }

  #dropBells(): void {
    for (const tag of [...this.#bells.keys()]) this.#dropBell(tag);
  }

  /** Closes what is kept for members that are gone. */
  dropDeadBells(): void {
    for (const tag of this.#bells.keys()) if (!this.isLive(tag)) this.#dropBell(tag);
  }

  /** This thread is no member any more, or was copied from one. */
  forget(): void {
    this.#own = 0;
    this.#dropBells();
  }
}

/** Unknown: this process has no descriptor left to ask with. */
function statOf(tid: number): ReturnType<typeof native.processStat> | 'unknown' {
  try {
    return native.processStat(tid);
  } catch {
    return 'unknown';
  }
}

function participant(): number {
  return record(indexOf(self()));
}
