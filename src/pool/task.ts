import type { Tickets } from '../channel/tickets.js';
import type { Abortable } from '../wait/abort.js';
import type { AsyncResult, Source } from './async-result.js';
import type { Definition } from './functions.js';
import type { TaskOptions } from './options.js';

/** Where a call came from; its stack is made into text only when asked. */
export interface Caller {
  stack?: string;
}

/** Whoever has the tasks. */
export interface Keeper {
  /** Ends a task for a reason of the caller's. False: it is over, or it runs and is to be spared. */
  callOff(task: Task, reason: unknown, running: boolean): boolean;
  /** Has a worker begun it? */
  hasBegun(task: Task): boolean;
}

/** One call. */
export class Task implements Source, Abortable {
  /** Arguments, while it waits for a slot: short ones as bytes, longer ones as the block that has them. */
  args: Uint8Array | number | undefined;
  /** Is it in the backlog? */
  waits = false;
  /** Its place on the board; −1: none. */
  slot = -1;
  /** The only worker that may run it; −1: any. */
  readonly seat: number;
  readonly timeout: number | undefined;
  readonly signal: AbortSignal | undefined;
  readonly priority: number;
  retries: number;
  /** Of its time limit, or of its grace. */
  cancelTimer: (() => void) | undefined;
  /** Why it has been called off while it ran. */
  doomed: { reason: unknown } | undefined;

  constructor(
    /** Ascending in the order in which they were given. */
    readonly id: number,
    readonly definition: Definition,
    readonly flags: number,
    options: TaskOptions | undefined,
    seat: number,
    readonly caller: Caller | undefined,
    readonly result: AsyncResult<unknown>,
    /** Ends of pipes in its arguments: open until it has settled. */
    readonly tickets: Tickets | null,
    private readonly keeper: Keeper,
  ) {
    this.seat = seat;
    this.timeout = options?.timeout;
    this.signal = options?.signal;
    this.priority = options?.priority ?? 0;
    this.retries = options?.retries ?? 0;
  }

  /** Its caller wants it no more, and it ends, with its worker if it runs. False: it is over. */
  cancel(reason: unknown): boolean {
    return this.keeper.callOff(this, reason, true);
  }

  /** The same, if it does not run. */
  withdraw(reason: unknown): boolean {
    return this.keeper.callOff(this, reason, false);
  }

  isRunning(): boolean {
    return this.keeper.hasBegun(this);
  }

  /** Its signal was aborted. */
  abort(reason: unknown): void {
    this.cancel(reason);
  }
}
