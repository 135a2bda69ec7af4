import type { Capture, SourceShell } from './description';

/** How a function made by `rebuildFunction` came about. */
export interface Definition {
  readonly shell: SourceShell;
  /** Its captured variables as they are now; imports stay imports while nobody assigned to them. */
  captures(): Capture[];
}

/** Rebuilt functions: describing one again gives what it was made from. */
export const definitions = new WeakMap<object, Definition>();

/** The objects that stand for `import.meta` in rebuilt functions. */
export const importMetas = new WeakSet<object>();

/** The functions that stand for `import()` in rebuilt functions. */
export const importers = new WeakSet<object>();
