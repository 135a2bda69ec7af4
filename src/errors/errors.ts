/**
 * Base of every error thrown by this library. `code` is stable; `message` says what to do about it.
 *
 * Errors cross to other threads and processes as themselves, with their `cause` and what they tell. Wrong arguments are a
 * plain TypeError or RangeError. What each means, and what to do then: [Errors](../../docs/errors.md).
 */
export class ManyhandsError extends Error {
  static {
    name(this, 'ManyhandsError');
  }
  /** What went wrong, as a word that stays the same from version to version: `ERR_TIMEOUT`, `ERR_QUEUE_EMPTY`… */
  readonly code: string = 'ERR_MANYHANDS';
}

/** The time given in `timeout` ran out before the thing waited for had happened. */
export class TimeoutError extends ManyhandsError {
  static {
    name(this, 'TimeoutError');
  }
  override readonly code: string = 'ERR_TIMEOUT';
}

/** The task was given up: its pool was terminated, or it was cancelled. */
export class CancelledError extends ManyhandsError {
  static {
    name(this, 'CancelledError');
  }
  override readonly code: string = 'ERR_CANCELLED';
}

/** The queue, pipe, pool or handle was closed. */
export class ClosedError extends ManyhandsError {
  static {
    name(this, 'ClosedError');
  }
  override readonly code: string = 'ERR_CLOSED';
}

/** The other end of the connection is gone, and all that came from it has been read. */
export class EndOfFileError extends ClosedError {
  static {
    name(this, 'EndOfFileError');
  }
  override readonly code: string = 'ERR_EOF';
}

/** Nothing was in the queue in time. */
export class QueueEmptyError extends TimeoutError {
  static {
    name(this, 'QueueEmptyError');
  }
  override readonly code: string = 'ERR_QUEUE_EMPTY';
}

/** The queue had no room in time. What was to be put was not; `putMany` tells by `put` how many had gone in before. */
export class QueueFullError extends TimeoutError {
  static {
    name(this, 'QueueFullError');
  }
  override readonly code: string = 'ERR_QUEUE_FULL';
}

/** The queue was shut down: nothing goes in any more, or nothing is left in it. */
export class QueueShutDownError extends ClosedError {
  static {
    name(this, 'QueueShutDownError');
  }
  override readonly code: string = 'ERR_QUEUE_SHUT_DOWN';
}

/** The barrier was broken: a party ran out of time, gave up, ended, or called abort() or reset(). */
export class BrokenBarrierError extends ManyhandsError {
  static {
    name(this, 'BrokenBarrierError');
  }
  override readonly code: string = 'ERR_BROKEN_BARRIER';
}

/** Released when not held, by a stranger, or too often. */
export class LockError extends ManyhandsError {
  static {
    name(this, 'LockError');
  }
  override readonly code: string = 'ERR_LOCK';
}

/** One of those that wait for one another in a circle. */
export interface DeadlockWaiter {
  /** Of the process in which it waits. */
  readonly pid: number;
  /** worker_threads' threadId; 0: the main thread. */
  readonly threadId: number;
  /** The name of its process or thread. */
  readonly name: string;
  /** Which object it waits for. */
  readonly waitsFor: string;
  /** What it holds that the one before it in the circle waits for. */
  readonly holds: string;
  /** Where it waits, if stacks are on: with MANYHANDS_STACKS=1 in the environment. */
  readonly stack?: string;
}

/**
 * Waiting here would never end: those in `cycle` wait for one another, this one first.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { DeadlockError, Lock } from 'manyhands';
 *
 * using first = new Lock();
 * using second = new Lock();
 * const both = async (one: Lock, other: Lock) => {
 *   using _ = await one.acquire();
 *   using __ = await other.acquire();
 * };
 * const results = await Promise.allSettled([both(first, second), both(second, first)]);
 * const [refused] = results.filter(result => result.status === 'rejected');
 * assert.ok(refused?.reason instanceof DeadlockError);
 * assert.equal(refused.reason.cycle.length, 2);
 * ```
 */
export class DeadlockError extends ManyhandsError {
  static {
    name(this, 'DeadlockError');
  }
  override readonly code: string = 'ERR_DEADLOCK';
  /** Each of those in the circle, in its order: every one waits for what the next one holds, the last for what the first holds. */
  readonly cycle: readonly DeadlockWaiter[];
  /** @hidden The library makes them. */
  constructor(message: string, options: ErrorOptions & { cycle: readonly DeadlockWaiter[] }) {
    super(message, options);
    this.cycle = options.cycle;
  }
}

/** Who is at the other end of a connection has not proved that it has the key, or takes ours for wrong. */
export class AuthenticationError extends ManyhandsError {
  static {
    name(this, 'AuthenticationError');
  }
  override readonly code: string = 'ERR_AUTHENTICATION';
}

/**
 * A value or function cannot cross. `path` names the culprit, as `args[0].db.socket` or `closure of task → db`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, SerializationError } from 'manyhands';
 *
 * const socket = new WeakMap(); // which no other process can have
 * const child = new Process({ target: (_: object) => {}, args: [{ db: { socket } }] });
 * assert.throws(() => child.start(), error => {
 *   assert.ok(error instanceof SerializationError);
 *   assert.equal(error.path, 'args[0].db.socket');
 *   return true;
 * });
 * ```
 */
export class SerializationError extends ManyhandsError {
  static {
    name(this, 'SerializationError');
  }
  override readonly code: string = 'ERR_SERIALIZATION';
  /** Where it is, from what was given: `args[0].db.socket`, `closure of task → db`. */
  readonly path: string;
  /** @hidden The library makes them. */
  constructor(message: string, options: ErrorOptions & { path: string }) {
    super(message, options);
    this.path = options.path;
  }
}

/** How a process ended, as the kernel told it. */
export interface Ending {
  /** Which process. */
  readonly pid: number;
  /** Its exit code; null: a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it; null: it exited. */
  readonly signalCode: NodeJS.Signals | null;
}

/**
 * A process or thread ended before it had given a result: it was killed, it called process.exit(), or it broke a limit. What was to
 * come of it rejects with this, be it a {@link Process}, a {@link Thread} or a pool's task; a pool goes on with another worker.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, WorkerDiedError } from 'manyhands';
 *
 * const child = new Process({ target: () => process.kill(process.pid, 'SIGKILL') }).start();
 * await assert.rejects(child.result(), error => {
 *   assert.ok(error instanceof WorkerDiedError);
 *   assert.equal(error.signalCode, 'SIGKILL');
 *   return true;
 * });
 * ```
 */
export class WorkerDiedError extends ManyhandsError {
  static {
    name(this, 'WorkerDiedError');
  }
  override readonly code: string = 'ERR_WORKER_DIED';
  /** Which process. */
  readonly pid: number;
  /** Its exit code; null: a signal ended it. */
  readonly exitCode: number | null;
  /** The signal that ended it; null: it exited. */
  readonly signalCode: NodeJS.Signals | null;
  /** @hidden The library makes them. */
  constructor(message: string, options: ErrorOptions & Ending) {
    super(message, options);
    this.pid = options.pid;
    this.exitCode = options.exitCode;
    this.signalCode = options.signalCode;
  }
}

/**
 * Stands for what a target threw when its class exists only over there: `remoteName` is that class's name.
 * Its own properties, `cause` and stack came along; `stack` shows the remote frames, then the local call.
 */
export class RemoteError extends ManyhandsError {
  static {
    name(this, 'RemoteError');
  }
  override readonly code: string = 'ERR_REMOTE';
  /** The name of its class. */
  readonly remoteName: string;
  /** @hidden The library makes them. */
  constructor(message: string, options: ErrorOptions & { remoteName: string }) {
    super(message, options);
    this.remoteName = options.remoteName;
  }
}

/** Called at the wrong point of a life: start() twice, join() before start(), run() after close(). */
export class LifecycleError extends ManyhandsError {
  static {
    name(this, 'LifecycleError');
  }
  override readonly code: string = 'ERR_LIFECYCLE';
}

/** fork() is not possible in this process, or not now: the message says why, and how to make it safe. */
export class ForkUnsafeError extends ManyhandsError {
  static {
    name(this, 'ForkUnsafeError');
  }
  override readonly code: string = 'ERR_FORK_UNSAFE';
}

/** The name is taken: by another kind of object, by another version of the library, or by another user. */
export class NameInUseError extends ManyhandsError {
  static {
    name(this, 'NameInUseError');
  }
  override readonly code: string = 'ERR_NAME_IN_USE';
}

/** Nothing has that name, or not any more. */
export class NameNotFoundError extends ManyhandsError {
  static {
    name(this, 'NameNotFoundError');
  }
  override readonly code: string = 'ERR_NAME_NOT_FOUND';
}

/** The commons cannot give the memory asked for. */
export class OutOfMemoryError extends ManyhandsError {
  static {
    name(this, 'OutOfMemoryError');
  }
  override readonly code: string = 'ERR_OUT_OF_MEMORY';
}

/** This operating system, processor or installation cannot run the library. */
export class UnsupportedPlatformError extends ManyhandsError {
  static {
    name(this, 'UnsupportedPlatformError');
  }
  override readonly code: string = 'ERR_UNSUPPORTED_PLATFORM';
}

/** On the prototype, so that it is no own property: own properties travel with an error, its name need not. */
function name(target: { prototype: object }, value: string): void {
  Object.defineProperty(target.prototype, 'name', { value, configurable: true, writable: true });
}
