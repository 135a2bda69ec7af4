import type { Source } from './functions/description.js';

type AnyFunction = (...args: never) => unknown;
type Origin = Pick<Source, 'url' | 'line' | 'column' | 'source'>;

const known = new Map<string, WeakRef<AnyFunction>>();

/**
 * Classes that crossed by value, out or in, so that one that comes back, or comes again, is the class we have: then
 * `instanceof` holds for results, and nothing is compiled twice. Only for classes that are what their source says: with
 * captured variables or static fields, two of the same source may differ.
 */
export function knownClass(origin: Origin): AnyFunction | undefined {
  return known.get(keyOf(origin))?.deref();
}

/** Remembers a class, unless there is one of the same source already. */
export function rememberClass(origin: Origin, type: AnyFunction): void {
  const key = keyOf(origin);
  if (known.get(key)?.deref() === undefined) known.set(key, new WeakRef(type));
}

function keyOf({ url, line, column, source }: Origin): string {
  return `${url}:${line}:${column}:${source}`;
}
