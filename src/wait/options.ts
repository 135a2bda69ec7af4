/**
 * How long to wait, and who may call it off. Either leaves things as if the call had never been made: no item is lost, no lock half
 * taken.
 */
export interface WaitOptions {
  /** Give up after this many milliseconds. Absent: wait for ever. 0: do not wait. */
  timeout?: number;
  /** Give up when aborted; the call rejects with `signal.reason`. (Async forms only.) */
  signal?: AbortSignal;
}

/** The timeout in ms; absent is Infinity. @throws {TypeError | RangeError} It is no number ≥ 0. */
export function timeoutOf(options: { timeout?: number } | undefined): number {
  const timeout = options?.timeout;
  if (timeout === undefined) return Number.POSITIVE_INFINITY;
  if (typeof timeout !== 'number')
    throw new TypeError(`Cannot wait as "timeout" is ${typeof timeout}: give milliseconds as a number`);
  if (!(timeout >= 0))
    throw new RangeError(`Cannot wait as "timeout" is ${timeout}: give 0 or more milliseconds`);
  return timeout;
}

/** For those who have something to do before they wait. @throws {TypeError | RangeError} No timeout. @throws The signal's reason. */
export function checkWait(options: WaitOptions | undefined): void {
  if (options === undefined) return;
  timeoutOf(options);
  options.signal?.throwIfAborted();
}
