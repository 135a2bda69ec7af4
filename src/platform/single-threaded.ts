import { isMainThread } from 'node:worker_threads';

/** Was this process, or the fork server that it comes from, started with V8 confined to one thread? On its main thread only. */
export const isSingleThreaded: boolean =
  isMainThread && process.execArgv.some(option => /^--single[-_]threaded$/.test(option));
