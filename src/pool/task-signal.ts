let ofTask: (() => AbortSignal | undefined) | undefined;

/** For the worker of this thread: where the signal of the task that it runs is from. */
export function provideSignal(source: typeof ofTask): void {
  ofTask = source;
}

/**
 * Inside a task: aborted when its caller gives it up (`signal`, `cancel()`) or its time is out, the reason being a CancelledError or a
 * TimeoutError. The task then has 0.3 s to come to an end by itself, which spares its worker; what it returns or throws is of no
 * consequence any more. A task that has not called this is ended with its worker at once. Undefined outside tasks.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { CancelledError, EventFlag, Pool, taskSignal } from 'manyhands';
 *
 * using begun = new EventFlag();
 * using cleaned = new EventFlag();
 * const wait = async () => {
 *   const signal = taskSignal();
 *   begun.set();
 *   await new Promise(resolve => signal?.addEventListener('abort', resolve));
 *   cleaned.set();
 * };
 * await using pool = new Pool(1);
 * const task = pool.run(wait);
 * await begun.wait();
 * task.cancel();
 * await assert.rejects(task, CancelledError);
 * await cleaned.wait(); // it had the time for that
 * ```
 */
export function taskSignal(): AbortSignal | undefined {
  return ofTask?.();
}
