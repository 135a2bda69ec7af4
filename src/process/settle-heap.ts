import { getHeapCodeStatistics } from 'node:v8';
import { native } from '../native/native.js';

/** Collects all garbage and finishes sweeping. */
export function settleHeap(): void {
  try {
    native.collectGarbage();
  } catch {
    return; // this Node does not let us: it is done later, bit by bit
  }
  // It walks the heap, for which all of it must be swept; what it counts is of no interest.
  getHeapCodeStatistics();
}
