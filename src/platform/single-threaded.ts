import { isMainThread } from 'node:worker_threads';

/**
 * V8's background threads do not exist in a forked child, and telling them of work blocks for ever after a few times.
 * The first flag has V8 compile JavaScript and collect garbage on the main thread; the others have it compile WebAssembly
 * there too, each function when it is first called and at once in full.
 */
export const SINGLE_THREADED: readonly string[] = [
  '--single-threaded',
  '--no-wasm-async-compilation',
  '--no-wasm-dynamic-tiering',
  '--wasm-lazy-compilation',
  '--no-liftoff',
];

/** Was this process, or the fork server that it comes from, started with the first of them? On its main thread only. */
export const isSingleThreaded: boolean = isMainThread && asksForOneThread(process.execArgv);

/** Is the first of them among these options of Node? */
export function asksForOneThread(options: readonly string[]): boolean {
  return options.some(option => /^--single[-_]threaded$/.test(option));
}
