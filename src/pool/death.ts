import { type Ending, WorkerDiedError } from '../errors/errors.js';

/** What a task rejects with whose worker ended under it. */
export function death(what: string, { pid, exitCode, signalCode }: Ending): WorkerDiedError {
  const how = signalCode ? `was killed by ${signalCode}` : `exited with code ${exitCode}`;
  return new WorkerDiedError(
    `Cannot finish ${what} as worker ${pid} ${how}: run it again, or set "retries"`,
    { pid, exitCode, signalCode },
  );
}
