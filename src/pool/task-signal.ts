let ofTask: (() => AbortSignal | undefined) | undefined;

/** For the worker of this thread: where the signal of the task that it runs is from. */
export function provideSignal(source: typeof ofTask): void {
  ofTask = source;
}

/**
 * Inside a task: aborted when its caller gives it up (`signal`, `cancel()`) or its time is out, the reason being a CancelledError or a
 * TimeoutError. The task then has 0.3 s to come to an end by itself, which spares its worker; what it returns or throws is of no
 * consequence any more. A task that has not called this is ended with its worker at once. Undefined outside tasks.
 */
export function taskSignal(): AbortSignal | undefined {
  return ofTask?.();
}
