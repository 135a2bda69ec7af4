import * as v8 from 'node:v8';
import { runInNewContext } from 'node:vm';

/** Collects all garbage and finishes sweeping. */
export function settleHeap(): void {
  // It walks the heap, for which all of it must be swept; what it counts is of no interest.
  const { queryObjects } = v8 as { queryObjects?: (of: unknown) => number };
  if (queryObjects) {
    const { emitWarning } = process;
    process.emitWarning = () => {}; // that it is experimental: each child would print it
    queryObjects(class Nothing {});
    process.emitWarning = emitWarning;
  } else {
    v8.setFlagsFromString('--expose-gc');
    runInNewContext('gc')();
    v8.setFlagsFromString('--no-expose-gc');
  }
}
