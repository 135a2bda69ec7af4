import { decode, decodeAsync, needsModules } from '../codec/decode.js';
import { decodeThrown, decodeThrownAsync, joinStacks } from '../codec/errors.js';
import { CancelledError, OutOfMemoryError, TimeoutError } from '../errors/errors.js';
import { free } from '../memory/allocator.js';
import { unwatchAbort, watchAbort } from '../wait/abort.js';
import { Completion } from '../wait/completion.js';
import { atDeadline } from '../wait/deadlines.js';
import { hold, unhold } from '../wait/doorbell.js';
import { AsyncResult } from './async-result.js';
import { Backlog } from './backlog.js';
import { type Board, CANCELLED, PARTLY, ROOM, TELL, THREW, TIMED_OUT, UNLOAD } from './board.js';
import { decodePartly, decodePartlyAsync, Partly } from './chunk.js';
import { death, type WorkerEnding } from './death.js';
import { type TaskEvent, taskEnd, taskStart } from './diagnostics.js';
import { Durations } from './durations.js';
import type { Functions } from './functions.js';
import { checkTaskOptions, type TaskOptions, type Worker } from './options.js';
import { packArgs, packed } from './parcel.js';
import type { Pool } from './pool.js';
import { type Caller, type Keeper, Task } from './task.js';
import { detach } from './transfer.js';

/** What tasks need of the workers. */
export interface Hands {
  /** Has as many resting workers look as there are new tasks. */
  rouse(tasks: number): void;
  /** Has this one look. */
  ring(index: number): void;
  /** What only this one was to run is over. */
  mailDone(index: number): void;
  /** Ends one, whatever it does. */
  kill(index: number): void;
  at(index: number): Worker | undefined;
}

/** What tasks tell of themselves. */
export interface TaskEvents {
  /** The last outstanding task has settled. */
  idle(): void;
}

/** How a task is given. */
export interface Manner {
  /** CHUNK and the like: see board.ts. */
  readonly flags: number;
  readonly caller: Caller | undefined;
  /** The only worker that may run it; −1: any. */
  readonly seat?: number;
  /** What is returned. */
  readonly into?: AsyncResult<unknown>;
}

/** How many tasks are on the board ahead of the workers at least, where some are more urgent than others: those can be overtaken. */
const LEAST_AHEAD = 64;
/** The block of arguments that take so many bytes is freed as soon as a worker has its copy of them, unless the task may be run again. */
const MANY_BYTES = 2 ** 23;
/** Tasks with more arguments than this, bytes, are announced at once: until the next has been written, a worker may have done much. */
const LARGE = 16_384;
/** How long a task that wants to be told of it may go on after it has been called off, ms. */
const GRACE = 300;

/**
 * The tasks of a pool, each from its call until its promise has settled.
 *
 * They lie on the board as long as there is room, and in the backlog beyond that. The order is kept by posting the next ones of the
 * backlog, and by taking back from the board those that nobody has begun when a more urgent one comes.
 */
export class Tasks implements Keeper {
  readonly #pool: Pool;
  readonly #board: Board;
  readonly #functions: Functions;
  readonly #hands: Hands;
  readonly #events: TaskEvents;
  readonly #maxPending: number;
  /** By slot. */
  readonly #slotted: (Task | undefined)[] = [];
  readonly #freeSlots: number[] = [];
  readonly #backlog = new Backlog();
  /** Those beyond `maxPending`, oldest first. */
  readonly #held = new Set<Task>();
  /** For some workers, those that they alone are to run, oldest first. The first is on the board, or about to be. */
  readonly #mail = new Map<number, Task[]>();
  /** Those that somebody wants to be told of once they run. */
  readonly #unseen = new Set<Task>();
  /** Those whose arguments are freed as soon as a worker has read them. */
  readonly #laden = new Set<Task>();
  /** What subscribers have been told of. */
  readonly #told = new Map<Task, TaskEvent>();
  readonly #durations = new Durations();
  #room = new Completion<void>();
  #count = 0;
  #outstanding = 0;
  #posted = 0;
  /** The most urgent task that waits for others to be taken back from the board. */
  #overtaking = Number.POSITIVE_INFINITY;
  #isTending = false;
  /** Those whose results take time to read. */
  readonly #reading = new Set<Task>();
  #completed = 0;
  #failed = 0;
  /** The priority of all outstanding tasks, as long as they have the same. */
  #priority = 0;
  #isMixed = false;
  /** No task on the board has a higher number than this. */
  #leastUrgent = Number.NEGATIVE_INFINITY;
  /** What tasks reject with that are given from now on: none can be run any more. */
  #refusal: (() => unknown) | undefined;
  /** What all tasks of a broken pool reject with. */
  #broken: unknown;

  constructor(
    pool: Pool,
    board: Board,
    functions: Functions,
    hands: Hands,
    events: TaskEvents,
    maxPending = Number.POSITIVE_INFINITY,
  ) {
    this.#pool = pool;
    this.#board = board;
    this.#functions = functions;
    this.#hands = hands;
    this.#events = events;
    this.#maxPending = maxPending;
    for (let slot = board.slots - 1; slot >= 0; slot--) this.#freeSlots.push(slot);
  }

  /** How many have not settled. */
  get outstanding(): number {
    return this.#outstanding + this.#held.size;
  }

  /** Is anything still to be read from the board? */
  get isReading(): boolean {
    return this.#reading.size > 0;
  }

  /** Seats whose workers run a task. */
  get busy(): Set<number> {
    const seats = new Set<number>();
    for (const task of this.#slotted) if (task) seats.add(this.#board.takenBy(task.slot));
    seats.delete(-1);
    return seats;
  }

  get stats() {
    const busy = this.busy.size;
    return {
      busy,
      pending: this.#outstanding - busy,
      completed: this.#completed,
      failed: this.#failed,
      taskTime: this.#durations.summary(),
    };
  }

  // ── given ──

  /** Gives a call to whichever worker is free next. Its arguments are copied at once. */
  submit(
    fn: unknown,
    args: readonly unknown[],
    options: TaskOptions | undefined,
    { flags, caller, seat = -1, into }: Manner,
  ): AsyncResult<unknown> {
    const result = into ?? AsyncResult.pending<AsyncResult<unknown>>();
    const before = this.#count;
    let task: Task;
    let slot = -1;
    let size = 0;
    try {
      if (options) {
        checkTaskOptions(options);
        options.signal?.throwIfAborted();
      }
      if (this.#refusal) throw this.#refusal();
      const definition = this.#functions.define(fn);
      const priority = options?.priority ?? 0;
      if (seat < 0 && this.#mayPostAtOnce(priority)) slot = this.#freeSlots.pop() as number;
      const room = slot < 0 ? takeScratch() : this.#board.argsRoom(slot);
      packArgs(args, room);
      const { tickets, handle, length } = packed;
      size = Math.abs(length);
      if (options || this.#refusal) this.#confirm(options);
      let told = options?.timeout !== undefined || taskStart.hasSubscribers ? flags | TELL : flags;
      if (handle !== 0 && size >= MANY_BYTES && !options?.retries) told |= UNLOAD;
      task = new Task(++this.#count, definition, told, options, seat, caller, result, tickets, this);
      if (handle !== 0) task.args = handle;
      else if (slot < 0) task.args = room.slice(0, length);
      else this.#board.setArgsLength(slot, length);
      if (slot < 0) scratch = room;
      // A getter among the arguments may have given tasks itself.
      else if (this.#count !== before + 1 && !this.#mayPostAtOnce(priority)) slot = this.#vacate(task, slot);
      this.#functions.use(definition);
    } catch (error) {
      if (slot >= 0) this.#giveBack(slot);
      result.fail(error);
      return result;
    }
    result.setSource(task);
    if (this.outstanding === 0) hold();
    if (task.signal) watchAbort(task.signal, task);
    if (this.#outstanding >= this.#maxPending && seat < 0) this.#held.add(task);
    else this.#accept(task, slot);
    if (size > LARGE) this.#announce();
    return result;
  }

  /** Arguments have just been packed, and a getter among them may have aborted the signal, or ended the pool: is the task still wanted? */
  #confirm(options: TaskOptions | undefined): void {
    const { tickets, handle } = packed;
    try {
      if (this.#refusal) throw this.#refusal();
      options?.signal?.throwIfAborted();
      if (options?.transfer) detach(options.transfer);
    } catch (error) {
      tickets?.release();
      if (handle !== 0) free(handle);
      throw error;
    }
  }

  /** The task has to wait after all; −1. */
  #vacate(task: Task, slot: number): number {
    task.args ??= this.#board.takeArgs(slot);
    this.#giveBack(slot);
    return -1;
  }

  #mayPostAtOnce(priority: number): boolean {
    return (
      this.#freeSlots.length > 0 &&
      this.#backlog.size === 0 &&
      (this.#outstanding === 0 || (!this.#isMixed && priority === this.#priority)) &&
      this.#outstanding < this.#maxPending &&
      this.#board.hasRoom
    );
  }

  /** It counts from now on. `slot`: the one that has its arguments, if any. */
  #accept(task: Task, slot: number): void {
    if (this.#outstanding++ === 0) {
      this.#priority = task.priority;
      this.#isMixed = false;
      this.#leastUrgent = Number.NEGATIVE_INFINITY;
    }
    if (task.seat >= 0) this.#putMail(task);
    else if (slot >= 0) this.#post(task, slot);
    else {
      if (task.priority !== this.#priority) this.#isMixed = true;
      this.#backlog.add(task);
      if (task.priority < this.#leastUrgent) this.#overtake(task.priority);
      else if (this.#overtaking === Number.POSITIVE_INFINITY) this.refill();
    }
  }

  /** Is there room for one more task than there are? */
  get hasRoom(): boolean {
    return this.outstanding < this.#maxPending;
  }

  /** Something of what hasRoom tells may have changed, or there will be no room any more. */
  get room(): Completion<void> {
    return this.#room;
  }

  #tellOfRoom(): void {
    const room = this.#room;
    this.#room = new Completion<void>();
    room.complete();
  }

  // ── on the board ──

  #post(task: Task, slot: number): void {
    this.#fill(task, slot);
    if (task.priority > this.#leastUrgent) this.#leastUrgent = task.priority;
    this.#offer(task);
  }

  #fill(task: Task, slot: number): void {
    const { definition, flags, args } = task;
    this.#board.fill(slot, definition.id, definition.handle, flags);
    if (typeof args === 'number') this.#board.setArgsBlock(slot, args);
    else if (args) this.#board.putArgs(slot, args);
    task.args = undefined;
    task.slot = slot;
    this.#slotted[slot] = task;
    if ((flags & TELL) !== 0) this.#unseen.add(task);
    if ((flags & UNLOAD) !== 0) this.#laden.add(task);
  }

  #offer(task: Task): void {
    this.#board.post(task.slot);
    this.#posted++;
    this.#tendSoon();
  }

  /** Has tasks of this priority, which are in the backlog, run before those on the board that are less urgent. */
  #overtake(priority: number): void {
    if (priority < this.#overtaking) this.#overtaking = priority;
    this.#tendSoon();
  }

  /** Many tasks given in one go are announced together, and overtake others together. */
  #tendSoon(): void {
    if (this.#isTending) return;
    this.#isTending = true;
    queueMicrotask(this.#tend);
  }

  readonly #tend = (): void => {
    if (this.#overtaking < Number.POSITIVE_INFINITY) {
      this.#recall(this.#overtaking);
      this.#overtaking = Number.POSITIVE_INFINITY;
      this.refill();
    }
    this.#isTending = false;
    this.#announce();
  };

  #announce(): void {
    const tasks = this.#posted;
    this.#posted = 0;
    if (tasks > 0) this.#hands.rouse(tasks);
  }

  /** Posts those that wait, as far as there is room. */
  refill(): void {
    const least = this.#isMixed ? this.#board.slots - Math.max(LEAST_AHEAD, this.#pool.size * 4) : 0;
    for (let task = this.#backlog.peek(); task; task = this.#backlog.peek()) {
      if (this.#freeSlots.length <= Math.max(0, least)) return;
      if (!this.#board.hasRoom) {
        // In the ring is what cannot be passed by, and behind it, perhaps, much that was taken back.
        if (!this.#isMixed || this.#recall(Number.NEGATIVE_INFINITY, 0) === 0 || !this.#board.hasRoom) return;
        continue;
      }
      this.#backlog.remove(task);
      this.#post(task, this.#freeSlots.pop() as number);
    }
  }

  /** Takes back those that nobody has begun and that come after this priority, or, with it, after this id; how many those were. */
  #recall(priority: number, id = Number.POSITIVE_INFINITY): number {
    const recalled: Task[] = [];
    this.#leastUrgent = Number.NEGATIVE_INFINITY;
    for (const task of this.#slotted) {
      if (!task || task.seat >= 0) continue;
      const isLater = task.priority > priority || (task.priority === priority && task.id > id);
      if (isLater && this.#board.withdraw(task.slot)) recalled.push(task);
      else if (task.priority > this.#leastUrgent) this.#leastUrgent = task.priority;
    }
    for (const task of recalled) this.#unpost(task);
    this.#backlog.addBack(recalled);
    return recalled.length;
  }

  /** Takes it off the board with its arguments. No worker may have it. */
  #unpost(task: Task): void {
    task.args = this.#board.takeArgs(task.slot);
    this.#release(task);
  }

  #putMail(task: Task): void {
    const queue = this.#mail.get(task.seat);
    if (queue) queue.push(task);
    else {
      this.#mail.set(task.seat, [task]);
      this.deliver(task.seat);
    }
  }

  /** Puts on the board what the worker in this seat is to run next, if it has not been told yet. */
  deliver(seat: number): void {
    const task = this.#mail.get(seat)?.[0];
    if (!task) return;
    if (task.slot < 0) {
      const slot = this.#freeSlots.pop();
      if (slot === undefined) return; // when one is free: see #release()
      this.#fill(task, slot);
    } else {
      this.#board.unmail(task.slot, seat);
      if (!this.#board.withdraw(task.slot)) return; // it runs
    }
    this.#board.mail(task.slot, seat);
    this.#hands.ring(seat);
  }

  #unmail(task: Task): void {
    const queue = this.#mail.get(task.seat);
    if (!queue) return;
    const wasFirst = queue[0] === task;
    queue.splice(queue.indexOf(task), 1);
    if (queue.length === 0) {
      this.#mail.delete(task.seat);
      this.#hands.mailDone(task.seat);
    } else if (wasFirst) this.deliver(task.seat);
  }

  hasMail(seat: number): boolean {
    return this.#mail.has(seat);
  }

  /** What only the worker of this seat was to run is run by nobody: it has gone, and nobody takes its place. */
  returnMail(seat: number): void {
    for (const task of [...(this.#mail.get(seat) ?? [])])
      this.callOff(task, new CancelledError('Cannot run the task as its worker has left the pool'), false);
  }

  // ── off the board ──

  /** Takes note of what the worker in a seat has finished from `seen` on; how far that is now. */
  collect(seat: number, seen: number): number {
    let position = seen;
    for (const count = this.#board.finishedBy(seat); position !== count; ) {
      const slot = this.#board.finishedAt(seat, position);
      position = (position + 1) | 0;
      this.#conclude(slot);
    }
    return position;
  }

  /** Takes note of those that run. */
  look(): void {
    for (const task of this.#laden) if (this.#board.unload(task.slot)) this.#laden.delete(task);
    for (const task of this.#unseen) {
      const seat = this.#board.takenBy(task.slot);
      if (seat >= 0) this.#see(task, seat);
    }
  }

  #see(task: Task, seat: number): void {
    this.#unseen.delete(task);
    if (task.timeout !== undefined) this.#time(task);
    if (taskStart.hasSubscribers) this.#note(task, seat);
  }

  /** The task in this slot is done: reads its result and frees the slot. */
  #conclude(slot: number): void {
    const task = this.#slotted[slot];
    const board = this.#board;
    if (!task || !board.isDone(slot)) return;
    const outcome = board.outcome(slot);
    const duration = board.microseconds(slot) / 1000;
    this.#durations.add(duration);
    task.result.setDuration(duration);
    if (this.#isWatched) this.#note(task, board.doneBy(slot));
    if (task.doomed) {
      this.#release(task);
      this.#settle(task, undefined, task.doomed.reason, true);
      return;
    }
    let value: unknown;
    try {
      if (board.result(slot, needsModules)) {
        this.#concludeLater(slot, task, outcome);
        return;
      }
      value = board.result(
        slot,
        outcome === THREW ? decodeError : outcome === PARTLY ? decodePartly : decode,
      );
    } catch (error) {
      this.#release(task);
      this.#settle(task, undefined, error, true);
      return;
    }
    if (task.result.ready()) return; // what was read has ended the pool
    this.#release(task);
    if (outcome === THREW) this.#settle(task, undefined, value, true);
    else this.#settle(task, value, undefined, false);
  }

  /** The same where something must be imported first. The slot stays taken meanwhile. */
  #concludeLater(slot: number, task: Task, outcome: number): void {
    this.#slotted[slot] = undefined;
    this.#reading.add(task);
    this.#board
      .result(slot, async (bytes, offset, length) => {
        if (outcome === THREW) return { error: await decodeThrownAsync(bytes, offset, length) };
        if (outcome === PARTLY) return { value: await decodePartlyAsync(bytes, offset, length) };
        return { value: (await decodeAsync(bytes, offset, length)).value };
      })
      .catch((error: unknown) => ({ error }))
      .then(result => {
        if (!this.#reading.delete(task)) return; // the pool has ended meanwhile
        this.#release(task);
        if ('error' in result) this.#settle(task, undefined, result.error, true);
        else this.#settle(task, result.value, undefined, false);
        this.refill();
        if (this.#reading.size === 0) this.#events.idle();
      });
  }

  /** Frees the slot of a task that no worker has. */
  #release(task: Task): void {
    const { slot } = task;
    if (slot < 0) return;
    this.#slotted[slot] = undefined;
    this.#unseen.delete(task);
    this.#laden.delete(task);
    this.#board.clear(slot);
    task.slot = -1;
    this.#giveBack(slot, task);
  }

  /** `by`: what had it, and wants no other. */
  #giveBack(slot: number, by?: Task): void {
    this.#freeSlots.push(slot);
    if (this.#freeSlots.length === 1)
      for (const [seat, [first]] of this.#mail) if (first.slot < 0 && first !== by) this.deliver(seat);
  }

  #settle(task: Task, value: unknown, error: unknown, failed: boolean): void {
    task.cancelTimer?.();
    if (task.signal) unwatchAbort(task.signal, task);
    if (typeof task.args === 'number') free(task.args);
    task.args = undefined;
    task.tickets?.release();
    this.#functions.release(task.definition);
    if (task.seat >= 0) this.#unmail(task);
    if (this.#held.delete(task)) this.#outstanding++; // so that it is taken off below, as the others are
    if (failed) {
      this.#failed++;
      // The caller's own reason stays as it is, and so does what all tasks of a broken pool reject with.
      const isShared = error === this.#broken || error === task.signal?.reason;
      if (error instanceof Error && !isShared && task.caller?.stack) joinStacks(error, task.caller.stack);
      if (this.#isWatched) this.#tellEnd(task, { error });
      task.result.fail(error);
    } else {
      if (value instanceof Partly) this.#failed++;
      else this.#completed++;
      if (this.#isWatched) this.#tellEnd(task, undefined);
      task.result.give(value);
    }
    this.#outstanding--;
    if (this.#maxPending !== Number.POSITIVE_INFINITY) this.#letIn();
    if (this.outstanding === 0) {
      unhold();
      this.#events.idle();
    }
  }

  #letIn(): void {
    for (const task of this.#held) {
      if (this.#outstanding >= this.#maxPending) return;
      this.#held.delete(task);
      this.#accept(task, -1);
    }
    if (this.hasRoom) this.#tellOfRoom();
  }

  // ── called off ──

  callOff(task: Task, reason: unknown, running: boolean): boolean {
    this.#pool.checkCreator('cancel a task of');
    if (task.result.ready() || task.doomed) return false;
    if (task.slot >= 0) {
      if (!this.#board.withdraw(task.slot)) return running && this.#doom(task, reason);
      if (task.seat >= 0) this.#board.unmail(task.slot, task.seat);
      this.#release(task);
    } else if (!this.#isWaiting(task)) return false; // its result is being read
    this.#settle(task, undefined, reason, true);
    return true;
  }

  hasBegun({ slot }: Task): boolean {
    return slot >= 0 && (this.#board.takenBy(slot) >= 0 || this.#board.isDone(slot));
  }

  /** Calls off all that wait. */
  withdrawAll(): void {
    for (const task of this.#all()) task.result.withdraw();
  }

  /** The same; and of what runs nothing is run again. Who ends all of it in this way needs no telling how that ended. */
  giveUp(): void {
    for (const task of this.#all()) {
      if (task.result.withdraw()) continue;
      task.retries = 0;
      task.result.tell();
    }
  }

  /** Those that wait come first: so nothing takes the place of one that is called off. */
  #all(): Task[] {
    return [...this.#held, ...this.#backlog, ...this.#onBoard(), ...[...this.#mail.values()].flat()];
  }

  /** The youngest first: while they are called off, workers go on, and what they would come to next is gone by then. */
  #onBoard(): Task[] {
    return this.#slotted.filter(task => task !== undefined).sort((one, other) => other.id - one.id);
  }

  #isWaiting(task: Task): boolean {
    return (
      this.#backlog.remove(task) ||
      this.#held.has(task) ||
      (this.#mail.get(task.seat)?.includes(task) ?? false)
    );
  }

  /** A worker has it: the task ends, by itself if it wants to, else with the worker. */
  #doom(task: Task, reason: unknown): boolean {
    const { slot } = task;
    const seat = this.#board.takenBy(slot);
    if (this.#board.callOff(slot, reason instanceof TimeoutError ? TIMED_OUT : CANCELLED)) {
      this.#hands.ring(seat);
      task.cancelTimer?.();
      const end = () => {
        if (task.slot === slot && this.#board.confirm(slot)) this.#hands.kill(seat);
      };
      task.cancelTimer = atDeadline(performance.now() + GRACE, end, true);
    } else if (this.#board.seize(slot)) this.#hands.kill(seat);
    else return false; // it is finished
    task.doomed = { reason };
    this.#unseen.delete(task);
    return true;
  }

  #time(task: Task): void {
    const { timeout = Number.POSITIVE_INFINITY, definition } = task;
    if (timeout === Number.POSITIVE_INFINITY) return;
    const over = () => {
      const error = new TimeoutError(
        `Cannot finish ${definition.name} within ${timeout} ms: allow more time`,
      );
      this.callOff(task, error, true);
    };
    task.cancelTimer = atDeadline(performance.now() + timeout, over, true);
  }

  // ── endings ──

  /** The worker in this seat has ended: decides what becomes of the task that it ran. */
  bereave(seat: number, end: WorkerEnding): void {
    for (const task of this.#slotted.slice()) {
      if (!task) continue;
      this.#conclude(task.slot);
      if (task.slot >= 0 && this.#board.takenBy(task.slot) === seat) this.#lose(task, seat, end);
    }
  }

  #lose(task: Task, seat: number, end: WorkerEnding): void {
    if (this.#isWatched) this.#note(task, seat);
    task.cancelTimer?.();
    if (!task.doomed && task.retries > 0) {
      task.retries--;
      this.#board.abandon(task.slot);
      this.#runAgain(task);
      return;
    }
    this.#release(task);
    this.#settle(task, undefined, task.doomed ? task.doomed.reason : death(task.definition.name, end), true);
  }

  /** Its worker has gone: it is the next to be run of its priority, as it came before all that wait. */
  #runAgain(task: Task): void {
    if (task.seat >= 0) {
      if ((task.flags & TELL) !== 0) this.#unseen.add(task);
      this.#board.reoffer(task.slot); // its worker's successor gets it: see deliver()
      return;
    }
    this.#unpost(task);
    this.#recall(task.priority, task.id);
    this.#backlog.addBack([task]);
    this.refill();
  }

  /** No task is run any more. */
  breakDown(error: unknown): void {
    this.#broken = error;
    this.rejectAll(() => error);
  }

  /** All that have not settled, and all that are given from now on. */
  rejectAll(reason: () => unknown): void {
    this.#refusal = reason;
    const mailed = [...this.#mail.values()].flat();
    this.#mail.clear(); // or the next of them would be delivered as one settles
    // Who is told of an end may end others.
    for (const task of [...this.#held, ...this.#backlog])
      if (task.slot < 0 && this.#isWaiting(task)) this.#settle(task, undefined, reason(), true);
    for (const task of this.#onBoard()) {
      if (task.slot < 0) continue;
      const seat = this.#board.takenBy(task.slot);
      if (seat >= 0 && this.#isWatched) this.#note(task, seat);
      // Slots that workers hold are cleared with the board.
      if (this.#board.withdraw(task.slot)) this.#release(task);
      else this.#forsake(task);
      this.#settle(task, undefined, reason(), true);
    }
    for (const task of mailed) if (!task.result.ready()) this.#settle(task, undefined, reason(), true);
    for (const task of [...this.#reading]) {
      this.#reading.delete(task);
      task.slot = -1;
      this.#settle(task, undefined, reason(), true);
    }
    this.endRoom();
  }

  #forsake(task: Task): void {
    this.#slotted[task.slot] = undefined;
    this.#unseen.delete(task);
    this.#laden.delete(task);
    task.slot = -1;
  }

  /** Those who wait for room are to look again. */
  endRoom(): void {
    this.#tellOfRoom();
  }

  /** In a fork of the process that it belongs to: does nothing for it any more. */
  disown(): void {
    for (const task of this.#all()) {
      task.cancelTimer?.();
      if (task.signal) unwatchAbort(task.signal, task);
    }
  }

  // ── told ──

  get #isWatched(): boolean {
    return taskEnd.hasSubscribers || taskStart.hasSubscribers || this.#told.size > 0;
  }

  /** It has run there. */
  #note(task: Task, seat: number): void {
    const worker = this.#hands.at(seat);
    const known = this.#told.get(task);
    if (known) {
      known.worker = worker; // another, if it is run again
      return;
    }
    const event = this.#eventOf(task, worker);
    this.#told.set(task, event);
    taskStart.publish(event);
  }

  #eventOf({ id, definition, priority }: Task, worker: Worker | undefined): TaskEvent {
    return { pool: this.#pool, id, name: definition.name, priority, worker };
  }

  #tellEnd(task: Task, failure: { error: unknown } | undefined): void {
    const event = this.#told.get(task) ?? this.#eventOf(task, undefined);
    this.#told.delete(task);
    if (task.result.duration !== undefined) event.duration = task.result.duration;
    if (failure) event.error = failure.error;
    taskEnd.publish(event);
  }
}

/** Where arguments go that have no slot yet. Undefined: somebody is at it, and a getter among the arguments gives a task. */
let scratch: Uint8Array | undefined;

function takeScratch(): Uint8Array {
  const taken = scratch ?? new Uint8Array(ROOM);
  scratch = undefined;
  return taken;
}

/** A worker that found no memory even for its error leaves none. */
function decodeError(bytes: Uint8Array, offset: number, length: number): unknown {
  if (length === 0)
    return new OutOfMemoryError(
      'Cannot give what the task came to as the commons is full: free memory, or raise its limit',
    );
  return decodeThrown(bytes, offset, length);
}
