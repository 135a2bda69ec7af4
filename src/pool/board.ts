import { allocate, free, givenTo, offsetOf, takeOver, transfer } from '../memory/allocator.js';
import { view, viewAlone } from '../memory/commons.js';
import { authorOf, messageAt, serialOf, storeMessage } from '../memory/message.js';
import { self } from '../memory/participants.js';
import { haveAllLook } from '../wait/deaths.js';

/*
 * The board on which a pool and its workers meet, a block of the commons:
 *
 *   header      HEADER words
 *   workers     a record each: WORKER words
 *   ready       ring of slot numbers, in the order in which they are to be run
 *   slots       one task each: SLOT words, then its arguments, then its result, where they are short
 *
 * and, for each worker there has been, a block with a ring of slot numbers, in the order in which it finished them.
 *
 * The pool alone fills slots and advances `tail`. A worker takes a slot by changing its state from READY to its own
 * mark, and only then advances `head`; any worker may advance `head` past a slot that is taken. So the mark is the
 * truth, it is one atomic step, and a worker that dies leaves it behind as the answer to what it was doing. An entry of the
 * ring names a slot and the number of its use. Whoever meets one that was withdrawn, or is in use for another task by now, passes on.
 *
 * A mark holds the number of the slot's use. The pool calls a running task off by changing that number. By one: the worker may
 * still bring it to an end, which is of no consequence to the task, and go on to others. By another one, or by two at once: it can
 * neither finish this task nor go on to another, and is killed without harm to any other.
 *
 * What only one worker is to run is not in the ring: the pool puts the slot's number into the worker's own record, as its MAIL.
 *
 * A word that names a block which a worker makes for the pool (a slot's RESULT, a worker's ERROR) says where to look after
 * a death, never that the block is there. The worker
 *
 *   1  allocates the block as its own and writes itself down as its author: storeMessage()
 *   2  names it
 *   3  gives it to the pool's thread: one compare-and-swap from the worker's tag to givenTo() of the pool's
 *   4  says that it counts: state DONE, phase FAILED
 *
 * It may die between any two of these, and be swept after by anyone at any time, which frees what is still the worker's.
 * Only the pool's thread frees what is marked as given to it. So, once the worker is dead, reclaim() finds at the place named
 *
 *   a block of the worker's          it died before 3, and has not been swept: this is the block, as a dead tag marks
 *                                    nothing new, and until it died nobody else could free the block
 *   one given to the pool by it      it died after 3: this is the block. An earlier gift at this place was freed before 1,
 *                                    and there was no later one: it gives nothing else between 1 and 4
 *   one given to the pool by others  it died before 3 and was swept, and the place has been taken again
 *   anything else, or nothing        the same
 *
 * What is marked as given is a message, with its author, as workers give nothing else; and it stays one while the pool's
 * thread looks at it.
 */
const HEADER = { TAIL: 0, HEAD: 1, OWNER: 2, CLOSING: 3, WORDS: 16 };
const WORKER = {
  PARTICIPANT: 0,
  IDLE: 1,
  FINISHED: 2,
  PHASE: 3,
  TAG: 4,
  ERROR: 5,
  /** Block of its ring. */
  RING: 6,
  /** Is it to leave once it has done what it is at? */
  LEAVE: 7,
  /** A slot's number + 1. */
  MAIL: 8,
  WORDS: 16,
};
const SLOT = {
  STATE: 0,
  FUNCTION: 1,
  DEFINITION: 2,
  FLAGS: 3,
  ARGS: 4,
  ARGS_LENGTH: 5,
  RESULT: 6,
  RESULT_LENGTH: 7,
  OUTCOME: 8,
  MICROSECONDS: 9,
  /** Does the task want to be told when it is called off, and why is it? */
  HEEDS: 10,
  CALLED_OFF: 11,
  /** Who finished it. */
  BY: 12,
  /** Has the worker read the arguments, and will not again? */
  READ: 13,
  WORDS: 128,
};
/** Bytes of a slot at which arguments and result start, and how much room each has. */
const ARGS_AT = 64;
const RESULT_AT = 288;
export const ROOM = 224;

/** A slot's state: its use's number, then one of these; from CLAIMED on, the worker's number + CLAIMED. */
const STATE = { FREE: 0, READY: 1, DONE: 2, MAILED: 3, CLAIMED: 4 };
const CODE_BITS = 12;
const CODE = (1 << CODE_BITS) - 1;

/** `args` holds items, to each of which the function is applied. */
export const CHUNK = 1;
/** Tell the pool when the task starts. */
export const TELL = 2;
/** Of a chunk: each item is an array of arguments. */
export const SPREAD = 4;
/** The arguments' block goes as soon as they have been read: tell the pool. */
export const UNLOAD = 8;

export const RETURNED = 1;
export const THREW = 2;
/** Of a chunk: some of its items' calls threw. */
export const PARTLY = 3;

/** Why a task was called off. */
export const CANCELLED = 1;
export const TIMED_OUT = 2;

/** What a worker is up to. */
export const PHASE = { STARTING: 0, READY: 1, RETIRED: 2, FAILED: 3 } as const;

/** How many workers a pool may have. */
export const MOST_WORKERS = CODE - STATE.CLAIMED;
/** For so many there is room on each board, so that a pool may grow. */
const LEAST_CAPACITY = 256;

export class Board {
  readonly slots: number;
  /** How many workers there may be. */
  readonly capacity: number;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #room: (Uint8Array | undefined)[] = [];
  readonly #ready: number;
  readonly #readyMask: number;
  /** Where each worker notes what it has finished, as far as that is known here. */
  readonly #rings: (Uint16Array | undefined)[] = [];
  readonly #slotsAt: number;
  /** A worker's: what it wrote as it took the slot that it is at. */
  #mark = 0;

  private constructor(
    readonly handle: number,
    slots: number,
    capacity: number,
  ) {
    this.slots = slots;
    this.capacity = capacity;
    const sizes = measure(slots, capacity);
    this.#bytes = viewAlone(offsetOf(handle), sizes.bytes);
    this.#words = new Int32Array(this.#bytes.buffer, this.#bytes.byteOffset, sizes.bytes / 4);
    this.#ready = sizes.ready;
    this.#readyMask = slots * 2 - 1;
    this.#slotsAt = sizes.slots;
  }

  /** A new board for `workers`, or some more. `slots` is a power of two up to 4,096; `owner`: tag of the pool's thread. */
  static make(slots: number, workers: number, owner: number): Board {
    const capacity = Math.max(workers, LEAST_CAPACITY);
    const board = new Board(allocate(measure(slots, capacity).bytes, { owner }), slots, capacity);
    board.#words[HEADER.OWNER] = owner;
    return board;
  }

  /** The board that another thread made. */
  static at(handle: number, slots: number, capacity: number): Board {
    return new Board(handle, slots, capacity);
  }

  /** Ends it, with all blocks that it names. No worker may be left. */
  free(): void {
    for (let slot = 0; slot < this.slots; slot++) this.clear(slot);
    for (let worker = 0; worker < this.capacity; worker++) {
      const ring = this.#words[this.#worker(worker) + WORKER.RING] >>> 0;
      if (ring === 0) continue;
      this.resetWorker(worker);
      free(ring);
    }
    free(this.handle);
  }

  /** Tag of the pool's thread. */
  get owner(): number {
    return this.#words[HEADER.OWNER];
  }

  get closing(): boolean {
    return Atomics.load(this.#words, HEADER.CLOSING) !== 0;
  }

  /** Asks all workers to leave once nothing is ready. */
  close(): void {
    Atomics.store(this.#words, HEADER.CLOSING, 1);
  }

  // ── the pool's side ──

  /** Starts a new use of a free slot. */
  fill(slot: number, fn: number, definition: number, flags: number): void {
    const at = this.#slot(slot);
    const words = this.#words;
    words[at + SLOT.FUNCTION] = fn;
    words[at + SLOT.DEFINITION] = definition;
    words[at + SLOT.FLAGS] = flags;
    words[at + SLOT.RESULT] = 0;
    words[at + SLOT.OUTCOME] = 0;
    words[at + SLOT.ARGS] = 0;
    words[at + SLOT.READ] = 0;
  }

  /** Where short arguments of this slot go. */
  argsRoom(slot: number): Uint8Array {
    return this.#roomAt(slot * 2, this.#slot(slot) * 4 + ARGS_AT);
  }

  setArgsLength(slot: number, length: number): void {
    this.#words[this.#slot(slot) + SLOT.ARGS_LENGTH] = length;
  }

  /** Arguments that are in a block, a message of the pool's thread. */
  setArgsBlock(slot: number, handle: number): void {
    this.#words[this.#slot(slot) + SLOT.ARGS] = handle;
  }

  /** Arguments encoded already, short enough for the slot. */
  putArgs(slot: number, message: Uint8Array): void {
    const at = this.#slot(slot);
    this.#words[at + SLOT.ARGS_LENGTH] = message.byteLength;
    this.#bytes.set(message, at * 4 + ARGS_AT);
  }

  /** The arguments of a slot that was withdrawn: their block, which is the caller's from now on, or a copy. */
  takeArgs(slot: number): number | Uint8Array {
    const at = this.#slot(slot);
    const handle = this.#words[at + SLOT.ARGS] >>> 0;
    this.#words[at + SLOT.ARGS] = 0;
    return handle !== 0 ? handle : this.argsRoom(slot).slice(0, this.#words[at + SLOT.ARGS_LENGTH]);
  }

  /** Frees the block of the slot's arguments, which are not to be read again. False: the worker has not said so yet. */
  unload(slot: number): boolean {
    const at = this.#slot(slot);
    if (Atomics.load(this.#words, at + SLOT.READ) === 0) return false;
    const handle = this.#words[at + SLOT.ARGS] >>> 0;
    this.#words[at + SLOT.ARGS] = 0;
    if (handle !== 0) free(handle);
    return true;
  }

  /** Room in the ring for one more. */
  get hasRoom(): boolean {
    const words = this.#words;
    const tail = words[HEADER.TAIL];
    for (let head = Atomics.load(words, HEADER.HEAD); ((tail - head) | 0) > this.#readyMask; ) {
      // Full of slots that were withdrawn, perhaps, with all workers busy: make room as they would.
      const entry = this.#readyAt(head);
      if (this.#state(entry & CODE) === ((entry & ~CODE) | STATE.READY)) return false;
      Atomics.compareExchange(words, HEADER.HEAD, head, (head + 1) | 0);
      head = Atomics.load(words, HEADER.HEAD);
    }
    return true;
  }

  /** Lets workers take a filled slot, after those posted before. */
  post(slot: number): void {
    const use = this.#offer(slot, STATE.READY);
    const words = this.#words;
    const tail = words[HEADER.TAIL];
    Atomics.store(words, this.#ready + (tail & this.#readyMask), use | slot);
    Atomics.store(words, HEADER.TAIL, (tail + 1) | 0);
  }

  /** Lets one worker take a filled slot, and no other. False: it has not taken the one before yet. */
  mail(slot: number, worker: number): boolean {
    const mail = this.#worker(worker) + WORKER.MAIL;
    if (Atomics.load(this.#words, mail) !== 0) return false;
    this.#offer(slot, STATE.MAILED);
    Atomics.store(this.#words, mail, slot + 1);
    return true;
  }

  /** Prepares a slot for another mail(), whose worker has ended. */
  reoffer(slot: number): void {
    this.#offer(slot, STATE.MAILED);
  }

  /** The slot is not to be taken by that worker. */
  unmail(slot: number, worker: number): void {
    Atomics.compareExchange(this.#words, this.#worker(worker) + WORKER.MAIL, slot + 1, 0);
  }

  /** The number of the slot's new use, where its state has it. */
  #offer(slot: number, as: number): number {
    const words = this.#words;
    const at = this.#slot(slot);
    words[at + SLOT.HEEDS] = 0; // what another run of it has said
    const state = at + SLOT.STATE;
    const use = ((words[state] & ~CODE) + (1 << CODE_BITS)) | 0;
    Atomics.store(words, state, use | as);
    return use;
  }

  /** Takes a slot back that no worker has taken. False: too late. */
  withdraw(slot: number): boolean {
    const seen = this.#state(slot);
    const code = seen & CODE;
    if (code !== STATE.READY && code !== STATE.MAILED) return false;
    const state = this.#slot(slot) + SLOT.STATE;
    return Atomics.compareExchange(this.#words, state, seen, (seen & ~CODE) | STATE.FREE) === seen;
  }

  /** Ends this use of a slot, with the blocks that it holds. Its worker, if it has one, must have ended. */
  clear(slot: number): void {
    const at = this.#slot(slot);
    const words = this.#words;
    this.abandon(slot);
    if (words[at + SLOT.ARGS] !== 0) free(words[at + SLOT.ARGS] >>> 0);
    if (words[at + SLOT.RESULT] !== 0) letGo(words[at + SLOT.RESULT] >>> 0);
    words[at + SLOT.ARGS] = 0;
    words[at + SLOT.RESULT] = 0;
    Atomics.store(words, at + SLOT.STATE, words[at + SLOT.STATE] & ~CODE);
  }

  /** Drops the result that a worker was about to give when it ended. */
  abandon(slot: number): void {
    const worker = this.takenBy(slot);
    if (worker < 0) return;
    const result = this.#slot(slot) + SLOT.RESULT;
    const handle = this.#words[result] >>> 0;
    if (handle !== 0) this.#reclaim(handle, this.tag(worker));
    this.#words[result] = 0;
  }

  /** Takes a task from the worker that runs it, and that is to be ended. False: it is finished. */
  seize(slot: number): boolean {
    return this.#take(slot, 2);
  }

  /**
   * Tells the worker that runs a task why that is called off; the task may end by itself. False: it does not ask to be told, or is
   * finished. May be followed by confirm().
   */
  callOff(slot: number, why: number): boolean {
    const at = this.#slot(slot);
    // SYNC POINT with heed(): who asks after this has been looked at is seized.
    if (Atomics.load(this.#words, at + SLOT.HEEDS) === 0) return false;
    this.#words[at + SLOT.CALLED_OFF] = why;
    return this.#take(slot, 1);
  }

  /** Seizes a task that has been called off, and did not end. False: it has by now. */
  confirm(slot: number): boolean {
    return this.#take(slot, 1);
  }

  #take(slot: number, uses: number): boolean {
    const state = this.#slot(slot) + SLOT.STATE;
    const seen = Atomics.load(this.#words, state);
    if ((seen & CODE) < STATE.CLAIMED) return false;
    return Atomics.compareExchange(this.#words, state, seen, (seen + (uses << CODE_BITS)) | 0) === seen;
  }

  isDone(slot: number): boolean {
    return (this.#state(slot) & CODE) === STATE.DONE;
  }

  /** The worker that has taken the slot; −1: none has. */
  takenBy(slot: number): number {
    const code = this.#state(slot) & CODE;
    return code >= STATE.CLAIMED ? code - STATE.CLAIMED : -1;
  }

  /** The worker that has finished the task of this slot, which is done. */
  doneBy(slot: number): number {
    return this.#words[this.#slot(slot) + SLOT.BY];
  }

  outcome(slot: number): number {
    return this.#words[this.#slot(slot) + SLOT.OUTCOME];
  }

  /** How long the task ran, µs. */
  microseconds(slot: number): number {
    return this.#words[this.#slot(slot) + SLOT.MICROSECONDS] >>> 0;
  }

  /** Calls back with the bytes of a result, in place. */
  result<T>(slot: number, use: (bytes: Uint8Array, offset: number, length: number) => T): T {
    const at = this.#slot(slot);
    return this.#message(at, SLOT.RESULT, RESULT_AT, use);
  }

  /** Slots that a worker has finished since `from`; how many there were in all. */
  finishedBy(worker: number): number {
    return Atomics.load(this.#words, this.#worker(worker) + WORKER.FINISHED);
  }

  finishedAt(worker: number, position: number): number {
    return this.#ring(worker)[position & (this.slots - 1)];
  }

  /** Makes the record of a worker that has ended, or of a new one, ready for its next holder. @throws {OutOfMemoryError} */
  resetWorker(worker: number): void {
    const at = this.#worker(worker);
    const failure = Atomics.load(this.#words, at + WORKER.ERROR) >>> 0;
    if (failure !== 0) this.#reclaim(failure, this.tag(worker));
    const ring =
      this.#words[at + WORKER.RING] || allocate(this.slots * 2, { owner: this.owner, zero: false });
    for (let i = 0; i < WORKER.WORDS; i++) Atomics.store(this.#words, at + i, i === WORKER.RING ? ring : 0);
  }

  /** Lets a worker leave, when it has done what it is at; or not, if it has not begun to. */
  dismiss(worker: number, leave: boolean): void {
    Atomics.store(this.#words, this.#worker(worker) + WORKER.LEAVE, Number(leave));
  }

  phase(worker: number): number {
    return Atomics.load(this.#words, this.#worker(worker) + WORKER.PHASE);
  }

  tag(worker: number): number {
    return Atomics.load(this.#words, this.#worker(worker) + WORKER.TAG);
  }

  /** Why it could not begin: the message in that block; undefined: it did not say. */
  failure(worker: number): Uint8Array | undefined {
    const handle = Atomics.load(this.#words, this.#worker(worker) + WORKER.ERROR) >>> 0;
    return handle === 0 ? undefined : messageAt(handle);
  }

  participant(worker: number): number {
    return Atomics.load(this.#words, this.#worker(worker) + WORKER.PARTICIPANT);
  }

  /** Was the worker waiting to be rung? From now on it is not. */
  rouse(worker: number): boolean {
    const idle = this.#worker(worker) + WORKER.IDLE;
    return this.#words[idle] === 1 && Atomics.compareExchange(this.#words, idle, 1, 0) === 1;
  }

  // ── a worker's side ──

  introduce(worker: number, participant: number, tag: number): void {
    const at = this.#worker(worker);
    Atomics.store(this.#words, at + WORKER.TAG, tag);
    Atomics.store(this.#words, at + WORKER.PARTICIPANT, participant);
  }

  /** It could not begin, and `message` says why. */
  fail(worker: number, message: Uint8Array): void {
    const error = this.#worker(worker) + WORKER.ERROR;
    Atomics.store(this.#words, error, storeMessage(message, self()));
    this.#give(error);
    this.setPhase(worker, PHASE.FAILED);
  }

  setPhase(worker: number, phase: number): void {
    Atomics.store(this.#words, this.#worker(worker) + WORKER.PHASE, phase);
  }

  /** Is there nothing for this worker to see to? */
  isQuiet(worker: number): boolean {
    const at = this.#worker(worker);
    return this.isEmpty && Atomics.load(this.#words, at + WORKER.MAIL) === 0 && !this.isDismissed(worker);
  }

  /** Is this worker to take no more than its mail? */
  isDismissed(worker: number): boolean {
    return Atomics.load(this.#words, this.#worker(worker) + WORKER.LEAVE) !== 0;
  }

  /** Is this worker to leave now? Not as long as it has mail. */
  isOver(worker: number): boolean {
    const at = this.#worker(worker);
    if (Atomics.load(this.#words, at + WORKER.MAIL) !== 0) return false;
    return this.isDismissed(worker) || (this.closing && this.isEmpty);
  }

  /** Takes the next ready slot for `worker`; −1: there is none, or it is to leave. */
  claim(worker: number): number {
    const words = this.#words;
    const mail = this.#worker(worker) + WORKER.MAIL;
    if (words[mail] !== 0) {
      const slot = Atomics.exchange(words, mail, 0) - 1;
      if (slot >= 0 && this.#claim(worker, slot, (this.#state(slot) & ~CODE) | STATE.MAILED)) return slot;
    }
    if (words[mail - WORKER.MAIL + WORKER.LEAVE] !== 0) return -1;
    for (;;) {
      const head = Atomics.load(words, HEADER.HEAD);
      if (head === Atomics.load(words, HEADER.TAIL)) return -1;
      const entry = this.#readyAt(head);
      const taken = this.#claim(worker, entry & CODE, (entry & ~CODE) | STATE.READY);
      Atomics.compareExchange(words, HEADER.HEAD, head, (head + 1) | 0);
      if (taken) return entry & CODE;
    }
  }

  /** `offered`: the state in which the slot is to be taken, and in no other. */
  #claim(worker: number, slot: number, offered: number): boolean {
    const words = this.#words;
    const state = this.#slot(slot) + SLOT.STATE;
    const mine = (offered & ~CODE) | (worker + STATE.CLAIMED);
    if (Atomics.load(words, state) !== offered) return false;
    if (Atomics.compareExchange(words, state, offered, mine) !== offered) return false;
    this.#mark = mine;
    return true;
  }

  /** The task of the slot that this worker took wants to be told when it is called off. */
  heed(slot: number): void {
    Atomics.store(this.#words, this.#slot(slot) + SLOT.HEEDS, 1);
  }

  /** Why the task of the slot that this worker took was called off; 0: it was not. */
  calledOff(slot: number): number {
    const at = this.#slot(slot);
    return Atomics.load(this.#words, at + SLOT.STATE) === this.#mark ? 0 : this.#words[at + SLOT.CALLED_OFF];
  }

  /**
   * This worker is about to sleep. True: it may, and will be rung. SYNC POINT with post() and rouse(): the mark is set
   * before `tail` is looked at, and the pool looks for marks after it has moved `tail`.
   */
  rest(worker: number): boolean {
    const idle = this.#worker(worker) + WORKER.IDLE;
    Atomics.store(this.#words, idle, 1);
    if (this.isQuiet(worker) && !this.closing) return true;
    Atomics.store(this.#words, idle, 0);
    return false;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#words, HEADER.HEAD) === Atomics.load(this.#words, HEADER.TAIL);
  }

  functionOf(slot: number): number {
    return this.#words[this.#slot(slot) + SLOT.FUNCTION];
  }

  definitionOf(slot: number): number {
    return this.#words[this.#slot(slot) + SLOT.DEFINITION] >>> 0;
  }

  flags(slot: number): number {
    return this.#words[this.#slot(slot) + SLOT.FLAGS];
  }

  args<T>(slot: number, use: (bytes: Uint8Array, offset: number, length: number) => T): T {
    return this.#message(this.#slot(slot), SLOT.ARGS, ARGS_AT, use);
  }

  /** This worker has read the arguments of the slot that it took, and does not need them any more. */
  setRead(slot: number): void {
    Atomics.store(this.#words, this.#slot(slot) + SLOT.READ, 1);
  }

  /** Where a short result of this slot goes. */
  resultRoom(slot: number): Uint8Array {
    return this.#roomAt(slot * 2 + 1, this.#slot(slot) * 4 + RESULT_AT);
  }

  setResultLength(slot: number, length: number): void {
    this.#words[this.#slot(slot) + SLOT.RESULT_LENGTH] = length;
  }

  /** A result that is in a block of this worker's, a message. */
  setResultBlock(slot: number, handle: number): void {
    this.#words[this.#slot(slot) + SLOT.RESULT] = handle;
  }

  /**
   * The task of the slot that this worker took is over. From here on the result is safe, whatever becomes of the worker.
   * False: the task has been seized, and the worker's end is on its way.
   */
  finish(worker: number, slot: number, outcome: number, microseconds: number): boolean {
    const words = this.#words;
    const at = this.#slot(slot);
    words[at + SLOT.OUTCOME] = outcome;
    words[at + SLOT.MICROSECONDS] = microseconds;
    words[at + SLOT.BY] = worker;
    if (words[at + SLOT.RESULT] !== 0) this.#give(at + SLOT.RESULT);
    const state = at + SLOT.STATE;
    const mark = this.#mark;
    const calledOff = (mark + (1 << CODE_BITS)) | 0;
    if (
      Atomics.compareExchange(words, state, mark, (mark & ~CODE) | STATE.DONE) !== mark &&
      Atomics.compareExchange(words, state, calledOff, (calledOff & ~CODE) | STATE.DONE) !== calledOff
    )
      return false;
    const finished = this.#worker(worker) + WORKER.FINISHED;
    const count = words[finished];
    Atomics.store(this.#ring(worker), count & (this.slots - 1), slot);
    Atomics.store(words, finished, (count + 1) | 0);
    return true;
  }

  #ring(worker: number): Uint16Array {
    let ring = this.#rings[worker];
    if (ring) return ring;
    const { buffer, byteOffset } = view(
      offsetOf(this.#words[this.#worker(worker) + WORKER.RING] >>> 0),
      this.slots * 2,
    );
    ring = new Uint16Array(buffer, byteOffset, this.slots);
    this.#rings[worker] = ring;
    return ring;
  }

  /** Gives the block that this word names to the pool. */
  #give(word: number): void {
    transfer(this.#words[word] >>> 0, self(), givenTo(this.owner));
  }

  /** Frees the block that a worker was making for the pool when it ended, if it is still there: see above. */
  #reclaim(handle: number, worker: number): void {
    const { owner } = this;
    if (takeOver(handle, worker, owner)) letGo(handle);
    else if (takeOver(handle, givenTo(owner), owner)) {
      if (authorOf(handle) === worker) letGo(handle);
      else transfer(handle, owner, givenTo(owner));
    }
  }

  #message<T>(
    at: number,
    block: number,
    inline: number,
    use: (bytes: Uint8Array, offset: number, length: number) => T,
  ): T {
    const handle = this.#words[at + block] >>> 0;
    if (handle === 0) return use(this.#bytes, at * 4 + inline, this.#words[at + block + 1]);
    const message = messageAt(handle);
    return use(message, 0, message.byteLength);
  }

  #roomAt(i: number, at: number): Uint8Array {
    const room = this.#room[i] ?? this.#bytes.subarray(at, at + ROOM);
    this.#room[i] = room;
    return room;
  }

  #state(slot: number): number {
    return Atomics.load(this.#words, this.#slot(slot) + SLOT.STATE);
  }

  #readyAt(position: number): number {
    return Atomics.load(this.#words, this.#ready + (position & this.#readyMask));
  }

  #slot(slot: number): number {
    return this.#slotsAt + slot * SLOT.WORDS;
  }

  #worker(worker: number): number {
    return HEADER.WORDS + worker * WORKER.WORDS;
  }
}

/** Frees what a worker made. Perhaps it was not read. */
function letGo(handle: number): void {
  const isCarrier = serialOf(handle) !== 0;
  free(handle);
  if (isCarrier) haveAllLook();
}

/** Where the parts start, in words, and how large the whole is. */
function measure(slots: number, capacity: number) {
  const ready = HEADER.WORDS + capacity * WORKER.WORDS;
  const slotsAt = Math.ceil((ready + slots * 2) / SLOT.WORDS) * SLOT.WORDS;
  return { ready, slots: slotsAt, bytes: (slotsAt + slots * SLOT.WORDS) * 4 };
}
