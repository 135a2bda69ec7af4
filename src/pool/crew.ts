import { decodeThrown } from '../codec/errors.js';
import { LifecycleError, OutOfMemoryError } from '../errors/errors.js';
import { REASON } from '../memory/layout.js';
import { cpuCount } from '../platform/platform.js';
import { Completion } from '../wait/completion.js';
import { ring } from '../wait/doorbell.js';
import { type Board, PHASE } from './board.js';
import { type Blow, type Carrier, startWorker } from './carriers.js';
import { death, type WorkerEnding } from './death.js';
import { workerEnd, workerStart } from './diagnostics.js';
import type { PoolOptions, Worker } from './options.js';
import type { Pool } from './pool.js';
import type { Preparation } from './preparation.js';
import type { Hands } from './tasks.js';

/** A worker's place. */
interface Seat {
  readonly index: number;
  carrier: Carrier | undefined;
  /** How many of its finished tasks have been seen. */
  seen: number;
  /** Has its worker been seen to be more than starting? */
  up: boolean;
  /** Is its worker to leave, and nobody to take its place? */
  dismissed: boolean;
  /** Until its worker is tried again, which could not be started; how often that has been tried in a row. */
  retry: NodeJS.Timeout | undefined;
  attempts: number;
}

/** What the crew tells of its workers. */
export interface CrewEvents {
  /** The worker in this seat has ended: decide what becomes of its task. */
  ended(index: number, end: WorkerEnding): void;
  /** Seats whose workers run a task. */
  busy(): Set<number>;
  /** Is there anything that only the worker in this seat is to run? */
  hasMail(index: number): boolean;
  /** Is a worker that has ended to be replaced? */
  goesOn(): boolean;
  /** What has been in the seat has gone, and whoever takes its place is there. `vacant`: nobody does. */
  settled(index: number, vacant: boolean): void;
  /** No worker can be had. */
  broken(error: unknown): void;
}

/**
 * Workers that end one after the other before they are ready, after which the pool gives up. What comes from outside, as some
 * signals do and terminate() of a thread, may hit those that start by chance, and Ctrl-C hits all of them: ten of it count as one.
 */
const FAILED_STARTS = 3;
const KILLED = 0.1;

/** Where the system has nothing left to start a worker with, that is tried again: after so many ms, then after twice as many each time. */
const SHORTAGE = 10;
const LONGEST_SHORTAGE = 1_000;
/** How often, with no worker left, before the pool gives up: about a second's worth. */
const MOST_ATTEMPTS = 7;
const OF_SHORTAGE: readonly unknown[] = ['EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ERR_WORKER_INIT_FAILED'];

/** The workers of a pool: as many as it has seats, one for another when it ends. */
export class Crew implements Hands {
  readonly #pool: Pool;
  readonly #board: Board;
  readonly #options: PoolOptions;
  readonly #preparation: Preparation;
  readonly #events: CrewEvents;
  /** By their numbers on the board. */
  readonly #seats: (Seat | undefined)[] = [];
  #ready = new Completion<void>();
  #size = 0;
  #restarts = 0;
  #failedStarts = 0;
  #isOver = false;

  constructor(pool: Pool, board: Board, options: PoolOptions, preparation: Preparation, events: CrewEvents) {
    this.#pool = pool;
    this.#board = board;
    this.#options = options;
    this.#preparation = preparation;
    this.#events = events;
  }

  /** How many there are to be. */
  get size(): number {
    return this.#size;
  }

  get restarts(): number {
    return this.#restarts;
  }

  /** Is nobody left? */
  get isEmpty(): boolean {
    return !this.#seats.some(seat => seat?.carrier || seat?.retry);
  }

  /** All workers have been seen up. */
  get ready(): Completion<void> {
    return this.#ready;
  }

  /** Those that are there now, in the order of their seats. */
  get workers(): readonly Worker[] {
    return this.#seats.flatMap(seat => seat?.carrier?.execution ?? []);
  }

  /** Numbers of the seats whose workers are to stay. */
  get staying(): number[] {
    return this.#seats.flatMap(seat => (seat && !seat.dismissed ? seat.index : []));
  }

  at(index: number): Worker | undefined {
    return this.#seats[index]?.carrier?.execution;
  }

  // ── size ──

  /**
   * Has so many from now on. Those that are too many leave when they have done what they are at, idle ones first; if there are too few,
   * those that were about to leave stay.
   */
  resize(size: number): void {
    this.#size = size;
    const staying = this.staying;
    if (size < staying.length) {
      for (const index of this.#leastBusy(staying).slice(0, staying.length - size))
        this.#dismiss(this.#seats[index] as Seat);
      this.rouse(size); // some of those who leave may have been told of tasks
    } else {
      let missing = size - staying.length;
      for (const seat of this.#seats)
        if (missing > 0 && seat?.dismissed) {
          missing--;
          this.#keep(seat);
        }
      for (; missing > 0; missing--) this.#sit();
    }
    this.#noteReady();
  }

  #sit(): void {
    let index = 0;
    while (this.#seats[index]) index++;
    const seat: Seat = {
      index,
      carrier: undefined,
      seen: 0,
      up: false,
      dismissed: false,
      retry: undefined,
      attempts: 0,
    };
    this.#seats[index] = seat;
    this.#start(seat, { isFirst: true });
  }

  /** Those that are not up yet first, then those that have nothing to do; of the same kind those that came last. */
  #leastBusy(seats: number[]): number[] {
    const busy = this.#events.busy();
    const use = (index: number) => (!this.#seats[index]?.up ? 0 : !busy.has(index) ? 1 : 2);
    return [...seats].sort((a, b) => use(a) - use(b) || b - a);
  }

  #dismiss(seat: Seat): void {
    seat.dismissed = true;
    if (!this.#events.hasMail(seat.index)) this.mailDone(seat.index);
  }

  /** Its worker may have begun to leave: then another takes its place. */
  #keep(seat: Seat): void {
    seat.dismissed = false;
    this.#board.dismiss(seat.index, false);
  }

  /** Those who wait for all workers to be up go on, if they are, and wait for new ones if not. */
  #noteReady(): void {
    const isComplete = this.#seats.every(
      seat => !seat || seat.dismissed || (seat.carrier || seat.retry ? seat.up : true),
    );
    if (isComplete) this.#ready.complete();
    else if (this.#ready.outcome && !this.#isOver) this.#ready = new Completion<void>();
  }

  // ── lives ──

  #start(seat: Seat, { isFirst }: { isFirst: boolean }): void {
    if (this.#isOver) return;
    const { context, kind = 'process', maxMemoryPerChild, maxTasksPerChild } = this.#options;
    const { index } = seat;
    try {
      this.#board.resetWorker(index);
      seat.seen = 0;
      seat.up = false;
      const options = {
        board: this.#board.handle,
        slots: this.#board.slots,
        capacity: this.#board.capacity,
        index,
        kind,
        maxMemory: maxMemoryPerChild,
        maxTasks: maxTasksPerChild && isFirst ? this.#stagger(maxTasksPerChild, index) : maxTasksPerChild,
        lingers: cpuCount() > 1,
        preparation: this.#preparation.handle,
      };
      seat.carrier = startWorker(kind, options, context?.method, end => this.#unseat(seat, end));
    } catch (error) {
      if (!isShortage(error)) this.#break(error);
      else this.#startLater(seat, { isFirst }, error);
      return;
    }
    seat.attempts = 0;
    if (workerStart.hasSubscribers) workerStart.publish({ pool: this.#pool, worker: seat.carrier.execution });
  }

  /** There was nothing to start it with: perhaps there is in a moment. */
  #startLater(seat: Seat, { isFirst }: { isFirst: boolean }, error: unknown): void {
    const isAlone = !this.#seats.some(other => other?.carrier);
    if (isAlone && seat.attempts >= MOST_ATTEMPTS) {
      this.#break(error);
      return;
    }
    const delay = Math.min(SHORTAGE * 2 ** seat.attempts++, LONGEST_SHORTAGE);
    seat.retry = setTimeout(() => {
      seat.retry = undefined;
      const vacant = seat.dismissed || !this.#events.goesOn();
      if (seat.dismissed) this.#seats[seat.index] = undefined;
      else if (!vacant) this.#start(seat, { isFirst });
      if (vacant && !this.#ready.outcome) this.#noteReady();
      this.#events.settled(seat.index, vacant);
    }, delay).unref();
  }

  /** How many tasks the first worker of a seat is to have: all would be replaced at the same time otherwise. */
  #stagger(most: number, index: number): number {
    return most === Number.POSITIVE_INFINITY
      ? most
      : most - Math.floor((most * (index % this.#size)) / this.#size);
  }

  /** Takes note of what workers have told of themselves. `collect`: of what they have finished. */
  look(collect: (index: number, seen: number) => number): void {
    let news = false;
    for (const seat of this.#seats) {
      if (!seat) continue;
      seat.seen = collect(seat.index, seat.seen);
      if (seat.up) continue;
      const phase = this.#board.phase(seat.index);
      if (phase === PHASE.FAILED) {
        this.#break(this.#failure(seat));
        return;
      }
      if (phase === PHASE.STARTING) continue;
      seat.up = true;
      this.#failedStarts = 0;
      news = true;
    }
    if (news && !this.#ready.outcome) this.#noteReady();
  }

  /** A worker has ended: what it was doing is decided, and another takes its place. */
  #unseat(seat: Seat, end: WorkerEnding): void {
    const { index } = seat;
    const phase = this.#board.phase(index);
    ring(this.#board.participant(index), REASON.CHANNEL); // it is gone: what is kept for ringing it goes, too
    const worker = seat.carrier?.execution;
    this.#events.ended(index, end);
    seat.carrier = undefined;
    if (workerEnd.hasSubscribers && worker) {
      const { exitCode, signalCode } = end;
      workerEnd.publish({ pool: this.#pool, worker, exitCode, signalCode });
    }
    if (phase === PHASE.STARTING) this.#failedStarts += end.isFromOutside ? KILLED : 1;
    const isBroken = this.#failedStarts >= FAILED_STARTS;
    const vacant = seat.dismissed || isBroken || this.#isOver || !this.#events.goesOn();
    if (seat.dismissed) this.#seats[index] = undefined;
    else if (isBroken) this.#break(death('a task', end));
    else if (!vacant) {
      if (phase !== PHASE.RETIRED) this.#restarts++;
      this.#start(seat, { isFirst: false });
    }
    if (vacant && !this.#ready.outcome) this.#noteReady();
    this.#events.settled(index, vacant);
  }

  /** What it threw as it was prepared. */
  #failure(seat: Seat): unknown {
    const message = this.#board.failure(seat.index);
    return message
      ? decodeThrown(message)
      : new LifecycleError('Cannot start a worker as its initializer failed');
  }

  #break(error: unknown): void {
    if (this.#isOver) return;
    this.#events.broken(error);
    this.killAll();
  }

  // ── told ──

  rouse(tasks: number): void {
    let wanted = tasks;
    for (const seat of this.#seats) {
      if (wanted === 0) return;
      if (!seat || seat.dismissed || !this.#board.rouse(seat.index)) continue;
      ring(this.#board.participant(seat.index), REASON.CHANNEL);
      wanted--;
    }
  }

  ring(index: number): void {
    this.#board.rouse(index);
    if (this.#board.tag(index) !== 0) ring(this.#board.participant(index), REASON.CHANNEL);
  }

  mailDone(index: number): void {
    if (!this.#seats[index]?.dismissed) return;
    this.#board.dismiss(index, true);
    this.ring(index);
  }

  /** Workers are to leave, as the board says. */
  rouseAll(): void {
    for (const seat of this.#seats) if (seat) this.ring(seat.index);
  }

  kill(index: number, blow: Blow = 'kill'): void {
    this.#seats[index]?.carrier?.[blow]();
  }

  /** Ends all of them, whatever they do, and starts none any more. */
  killAll(blow?: Blow): void {
    this.#isOver = true;
    this.#ready.complete();
    for (const seat of this.#seats) if (seat) this.kill(seat.index, blow);
    this.disown();
  }

  /** Starts none any more. */
  disown(): void {
    for (const seat of this.#seats) {
      if (!seat) continue;
      clearTimeout(seat.retry);
      seat.retry = undefined;
    }
  }
}

/** Is it that the system, or the commons, has nothing left for now? */
function isShortage(error: unknown): boolean {
  if (error instanceof OutOfMemoryError) return true;
  const { code, cause } = error as NodeJS.ErrnoException;
  return (
    OF_SHORTAGE.includes(code) || OF_SHORTAGE.includes((cause as NodeJS.ErrnoException | undefined)?.code)
  );
}
