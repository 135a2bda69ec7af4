type AnyFunction = (...args: never) => unknown;

const known = new Map<string, WeakRef<AnyFunction>>();

/**
 * Classes that crossed by value, out or in, so that one that comes back, or comes again, is the class we have: then
 * `instanceof` holds for results, and nothing is compiled twice. Only for classes that are what their source says: with
 * captured variables or static fields, two of the same source may differ.
 */
export function knownClass(text: string): AnyFunction | undefined {
  return known.get(text)?.deref();
}

/** Remembers a class by the text of its shell, unless there is one of the same already. */
export function rememberClass(text: string, type: AnyFunction): void {
  if (known.get(text)?.deref() === undefined) known.set(text, new WeakRef(type));
}
