import { type Ending, WorkerDiedError } from '../errors/errors.js';

/** How a worker ended. */
export interface WorkerEnding extends Ending {
  /** Which it was, for messages. */
  readonly who: string;
  /** By which somebody may have ended it from outside, whatever it was doing. */
  readonly isFromOutside: boolean;
  /** What it threw where nobody caught it, or what else is known of why it ended. */
  readonly cause: unknown;
}

/** What a task rejects with whose worker ended under it. */
export function death(
  what: string,
  { who, pid, exitCode, signalCode, isFromOutside, cause }: WorkerEnding,
): WorkerDiedError {
  const how = signalCode
    ? `was killed by ${signalCode}`
    : isFromOutside
      ? 'was terminated'
      : `exited with code ${exitCode}`;
  return new WorkerDiedError(`Cannot finish ${what} as ${who} ${how}: run it again, or set "retries"`, {
    pid,
    exitCode,
    signalCode,
    ...(cause === undefined ? {} : { cause }),
  });
}
