/*
 * A loop that awaits what is there already never lets the event loop turn: no timer, no socket, no abort would be heard while
 * items come fast. So one of many such promises is fulfilled a turn later.
 */
const EVERY = 1024;
let since = 0;

/** A promise of `value`: now and then one that the event loop turns for. */
export function soon<T>(value: T): Promise<T> {
  if (++since < EVERY) return Promise.resolve(value);
  since = 0;
  return new Promise(resolve => setImmediate(resolve, value));
}

/** The same for what is async anyway: now and then something to await. */
export function breath(): Promise<void> | undefined {
  if (++since < EVERY) return undefined;
  since = 0;
  return new Promise(resolve => setImmediate(resolve));
}
