import { CancelledError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { failureLine } from './failure-line.js';
import type { Batch, InputQueue } from './input-queue.js';
import type { Inputs } from './inputs.js';
import type { ChunkFailure, ChunkLimits, ChunkReply, MapJob } from './map-task.js';

/** What a task should cost: enough to make its way there and back small, little enough for results to keep coming. */
const TASK_MS = 10;
/** A chunk is given back when it has taken this long: its inputs have become dearer than those it was measured by. */
const BUDGET_MS = 40;
const BUDGET_BYTES = 1 << 20;
/** Tasks worth this much wait at the pool, so that no worker is ever idle for want of the next. */
const AHEAD_MS = 20;
const MOST_AHEAD = 512;
const LARGEST_CHUNK = 1 << 16;
/** Results that may be held back, in bytes, before no new input is taken. */
const HELD_BYTES = 16 << 20;

/** The part of the pool that is used here. */
export interface Runner {
  run(args: readonly unknown[], options: { timeout?: number; retries?: number }): Promise<ChunkReply>;
}

/** The results of a batch, or of the first inputs of one. */
export interface Piece extends Batch {
  readonly output: Uint8Array;
  readonly failures: readonly ChunkFailure[];
}

/** Takes pieces, and knows how many bytes it still holds. */
export interface Receiver {
  readonly held: number;
  accept(piece: Piece): void;
  /** As accept(), but the failures are to be told at once, whatever is still missing before them. */
  acceptLast(piece: Piece): void;
  /** Called when `held` has fallen. */
  onRelease: () => void;
}

export interface EngineOptions {
  readonly job: MapJob;
  readonly jobs: number;
  /** Inputs a task; absent: chosen by their measured cost. */
  readonly chunksize?: number | undefined;
  /** Milliseconds for one input. */
  readonly timeout?: number | undefined;
  readonly retries: number;
  readonly failFast: boolean;
}

/** Figures that only grow. Times are in milliseconds. */
export interface EngineTotals {
  done: number;
  failed: number;
  /** Of input, separators included. */
  bytes: number;
  /** Time that workers spent in tasks, and processor time of it. */
  busy: number;
  cpu: number;
}

/**
 * Moves inputs through workers: reads only as fast as they are done, decides how many go together, and hands on every
 * outcome once. Inputs outstanding are bounded by the number of workers, results held back by HELD_BYTES.
 */
export class Engine {
  readonly totals: EngineTotals = { done: 0, failed: 0, bytes: 0, busy: 0, cpu: 0 };
  readonly #options: EngineOptions;
  readonly #inputs: Inputs;
  readonly #queue: InputQueue;
  readonly #runner: Runner;
  readonly #receiver: Receiver;
  #outstanding = 0;
  #reading = false;
  #exhausted = false;
  #stopped = false;
  #halted = false;
  #error: unknown;
  #chunk = 1;
  /** Milliseconds an input; undefined before the first result. */
  #cost: number | undefined;
  #wake: () => void = () => undefined;
  #stirred = false;

  constructor(options: EngineOptions, inputs: Inputs, queue: InputQueue, runner: Runner, receiver: Receiver) {
    this.#options = options;
    this.#inputs = inputs;
    this.#queue = queue;
    this.#runner = runner;
    this.#receiver = receiver;
    receiver.onRelease = () => this.#stir();
    if (options.chunksize !== undefined) this.#chunk = options.chunksize;
  }

  /**
   * Resolves when every input taken has had its outcome handed on, or after halt().
   * Rejects when inputs cannot be read, or are not those of the run that is resumed.
   */
  async run(): Promise<void> {
    while (!this.#halted) {
      while (this.#mayLaunch()) this.#launch();
      if (this.#error !== undefined) throw this.#error;
      if (this.#exhausted && this.#queue.isEmpty && this.#outstanding === 0) return;
      if (this.#queue.isEmpty && !this.#exhausted && !this.#reading && this.#hasRoom()) this.#read();
      await this.#stirring();
    }
    if (this.#error !== undefined) throw this.#error;
  }

  /** Whether every input there was has had its outcome. */
  get completed(): boolean {
    return this.#exhausted && !this.#stopped && !this.#halted;
  }

  /** Takes no more input; what workers have begun goes on. */
  stopTaking(): void {
    this.#stopped = true;
    this.#exhausted = true;
    this.#queue.clear();
    this.#inputs.close();
    this.#stir();
  }

  /** Ends run() now. What is outstanding is forgotten. */
  halt(): void {
    this.#halted = true;
    this.#inputs.close();
    this.#stir();
  }

  #mayLaunch(): boolean {
    if (this.#queue.isEmpty || this.#halted || this.#outstanding >= this.#window()) return false;
    // What was given back is never refused: everything held may be waiting for just that.
    return this.#queue.hasReturned || this.#hasRoom();
  }

  #hasRoom(): boolean {
    return this.#receiver.held < HELD_BYTES;
  }

  /** How many tasks may be outstanding: one a worker while they are dear, more when the next would be waited for. */
  #window(): number {
    const { jobs } = this.#options;
    if (this.#cost === undefined) return jobs;
    const task = this.#cost * this.#chunk;
    if (task > BUDGET_MS) return jobs;
    return Math.max(2 * jobs, Math.min(MOST_AHEAD, Math.ceil((jobs * AHEAD_MS) / task)));
  }

  #launch(): void {
    const batch = this.#queue.take(this.#chunk);
    if (!batch) return;
    const { job, timeout, retries } = this.#options;
    this.#outstanding++;
    const options: { timeout?: number; retries?: number } = {};
    if (timeout !== undefined) options.timeout = timeout;
    // An input that is alone after its chunk's worker died has had its first try.
    if (batch.count === 1 && retries > 0) options.retries = batch.alone ? retries - 1 : retries;
    this.#runner.run([job, batch.bytes, this.#limits()], options).then(
      reply => this.#settle(batch, reply),
      error => this.#reject(batch, error),
    );
  }

  #limits(): ChunkLimits {
    const { chunksize, failFast } = this.#options;
    return {
      milliseconds: chunksize === undefined ? BUDGET_MS : Number.POSITIVE_INFINITY,
      bytes: chunksize === undefined ? BUDGET_BYTES : Number.POSITIVE_INFINITY,
      failures: failFast ? 1 : Number.POSITIVE_INFINITY,
    };
  }

  #settle(batch: Batch, reply: ChunkReply): void {
    this.#outstanding--;
    if (this.#halted) return;
    this.totals.busy += reply.busy;
    this.totals.cpu += reply.cpu;
    this.#measure(reply);
    if (reply.count < batch.count && !this.#stopped) this.#queue.giveBack(batch, reply.count);
    this.#deliver({
      ...this.#queue.head(batch, reply.count),
      output: reply.output,
      failures: reply.failures,
    });
  }

  #reject(batch: Batch, error: unknown): void {
    this.#outstanding--;
    const died = error instanceof WorkerDiedError || error instanceof TimeoutError;
    const forgotten = this.#halted || error instanceof CancelledError;
    // Which of several inputs it was nobody can say: they show it one by one.
    const together = batch.count > 1 && died;
    if (together && !forgotten && !this.#stopped) this.#queue.giveBackAlone(batch);
    if (!together && !forgotten) this.#fail(batch, error);
    this.#stir();
  }

  #fail(batch: Batch, error: unknown): void {
    const { separator, json } = this.#options.job;
    const texts = batch.bytes.toString('utf8').split(String.fromCharCode(separator));
    const failures = texts.map((text, at) => ({
      at,
      offset: 0,
      line: failureLine(json ? parsed(text) : text, error),
    }));
    this.#deliver({ ...batch, output: new Uint8Array(0), failures });
  }

  #deliver(piece: Piece): void {
    const failed = piece.failures.length;
    this.totals.done += piece.count - failed;
    this.totals.failed += failed;
    this.totals.bytes += piece.bytes.length + 1;
    if (failed > 0 && this.#options.failFast) {
      this.#receiver.acceptLast(piece);
      this.halt();
      return;
    }
    this.#receiver.accept(piece);
    this.#stir();
  }

  #measure(reply: ChunkReply): void {
    const cost = Math.max(reply.busy / reply.count, 1e-5);
    this.#cost = this.#cost === undefined ? cost : (this.#cost + cost) / 2;
    const { chunksize, timeout } = this.#options;
    if (chunksize !== undefined || timeout !== undefined) return;
    const fitting = Math.floor(TASK_MS / this.#cost);
    // Growing in steps: the first inputs may be the cheap ones.
    this.#chunk = Math.max(1, Math.min(fitting, this.#chunk * 4, LARGEST_CHUNK));
  }

  #read(): void {
    this.#reading = true;
    this.#inputs
      .next()
      .then(block => {
        if (this.#exhausted) return;
        if (block) this.#queue.push(block);
        else {
          this.#exhausted = true;
          this.#queue.end();
        }
      })
      .catch(error => {
        this.#error = error;
      })
      .finally(() => {
        this.#reading = false;
        this.#stir();
      });
  }

  #stir(): void {
    this.#stirred = true;
    this.#wake();
  }

  async #stirring(): Promise<void> {
    if (!this.#stirred) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
    }
    this.#stirred = false;
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
