/** Base of every error thrown by this library. `code` is stable; `message` says what to do about it. */
export class ManyhandsError extends Error {
  static {
    name(this, 'ManyhandsError');
  }
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
  readonly pid: number;
  /** worker_threads' threadId; 0: the main thread. */
  readonly threadId: number;
  readonly name: string;
  readonly waitsFor: string;
  /** What it holds that the one before it in the circle waits for. */
  readonly holds: string;
  /** Where it waits, if stacks are on: with MANYHANDS_STACKS=1 in the environment. */
  readonly stack?: string;
}

/** Waiting here would never end: those in `cycle` wait for one another, this one first. */
export class DeadlockError extends ManyhandsError {
  static {
    name(this, 'DeadlockError');
  }
  override readonly code: string = 'ERR_DEADLOCK';
  readonly cycle: readonly DeadlockWaiter[];
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

/** A value or function cannot cross. `path` names the culprit, as `args[0].db.socket` or `closure of task → db`. */
export class SerializationError extends ManyhandsError {
  static {
    name(this, 'SerializationError');
  }
  override readonly code: string = 'ERR_SERIALIZATION';
  readonly path: string;
  constructor(message: string, options: ErrorOptions & { path: string }) {
    super(message, options);
    this.path = options.path;
  }
}

/** How a process ended, as the kernel told it. */
export interface Ending {
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
}

/** A worker ended under a task. The task's promise rejects with this; the pool goes on. */
export class WorkerDiedError extends ManyhandsError {
  static {
    name(this, 'WorkerDiedError');
  }
  override readonly code: string = 'ERR_WORKER_DIED';
  readonly pid: number;
  readonly exitCode: number | null;
  readonly signalCode: NodeJS.Signals | null;
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
  readonly remoteName: string;
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
