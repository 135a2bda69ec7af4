import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import { LifecycleError } from '../errors/errors.js';
import type { ExecutionOptions } from './execution.js';
import { checkLimits, PROCESS_BOUNDS } from './limits.js';
import { checkAffinity, checkPriority } from './scheduling.js';

/** What a {@link Process} runs, and how it lives. */
export interface ProcessOptions<A extends readonly unknown[], R> extends ExecutionOptions<A, R> {
  /**
   * Its whole environment; what is undefined is left out. Default: this process's, as it is at start(). NODE_OPTIONS in it counts by `spawn` only: other
   * children are born with the options of this process.
   */
  env?: Readonly<Record<string, string | undefined>>;
  /** Its working directory; start() throws a LifecycleError if there is none. Default: this process's. */
  cwd?: string;
  /** Nice value, −20 (first) to 19 (last). */
  priority?: number;
  /** CPU indices it may run on. */
  affinity?: readonly number[];
  /**
   * 'inherit' (default), 'ignore', or 'pipe' (then `stdout` and `stderr` are Readables). What it prints is written at once,
   * and so is never lost, however it ends; what nobody can read any more is dropped, which does not fail it.
   */
  stdio?: 'inherit' | 'ignore' | 'pipe';
  /**
   * What it may use, or it ends and result() rejects with a WorkerDiedError that says so.
   */
  limits?: {
    /**
     * Bytes of V8's heap on its main thread, beyond what Node allows too. The young generation comes on top (some
     * 16 to 50 MiB), and so does what V8 keeps elsewhere: buffers, WebAssembly's memory, heaps of its threads. Node reports on
     * stderr, and aborts: SIGABRT.
     */
    heap?: number;
    /**
     * Milliseconds of CPU time of all its threads, from when it has settled in: SIGXCPU, for which it may have a handler, and a
     * second of CPU time later SIGKILL. Processes that it starts are not counted. It is as fine as the kernel's clock tick: 1 to 10 ms.
     */
    cpu?: number;
  };
}

/** @throws {TypeError | RangeError} One of them is none. */
export function checkOptions({
  stdio,
  env,
  cwd,
  priority,
  affinity,
  limits,
}: ProcessOptions<any, any>): void {
  checkLimits(limits, PROCESS_BOUNDS);
  if (stdio !== undefined && !['inherit', 'ignore', 'pipe'].includes(stdio))
    throw new RangeError(`Cannot use ${String(stdio)} as "stdio": give 'inherit', 'ignore' or 'pipe'`);
  if (env !== undefined) checkEnv(env);
  if (cwd !== undefined && (typeof cwd !== 'string' || cwd === ''))
    throw new TypeError('Cannot use that as "cwd": give a path');
  if (priority !== undefined) checkPriority(priority);
  if (affinity !== undefined) checkAffinity(affinity);
}

/** As the system has it: neither it nor Node would say what is wrong. */
function checkEnv(env: unknown): void {
  if (typeof env !== 'object' || env === null)
    throw new TypeError('Cannot use that as "env": give an object of strings');
  for (const [name, value] of Object.entries(env)) {
    if (value === undefined) continue;
    if (typeof value !== 'string')
      throw new TypeError(`Cannot use that as "env.${name}": give a string rather than a ${typeof value}`);
    if (!/^[^=\0]+$/.test(name) || value.includes('\0'))
      throw new RangeError(
        `Cannot use "env.${name}": a name may be neither empty nor contain "=", and neither it nor its value NUL`,
      );
  }
}

/**
 * All start methods would fail for it later, each in its way. `name`: of the process that is to live there.
 * @throws {LifecycleError} There is no such folder, or it may not be entered.
 */
export function checkFolder(cwd: string | undefined, name: string): void {
  if (cwd === undefined) return;
  try {
    accessSync(`${cwd}/.`, constants.X_OK);
  } catch (cause) {
    throw new LifecycleError(
      `Cannot start ${name} in ${path.resolve(cwd)} as that is no folder that it may enter: make it one, or give another "cwd"`,
      { cause },
    );
  }
}
