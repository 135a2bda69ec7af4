import { channel } from 'node:diagnostics_channel';
import type { Worker } from './options.js';
import type { Pool } from './pool.js';

/*
 * What a pool publishes on node:diagnostics_channel. Nothing is made, nor asked of workers, as long as nobody has subscribed.
 */

/** A task as subscribers see it: the same object at its start and at its end. */
export interface TaskEvent {
  readonly pool: Pool;
  /** Number of the task among those of its pool; that of a chunk of map() counts once. */
  readonly id: number;
  /** Of its function. */
  readonly name: string;
  readonly priority: number;
  /** That runs it; at the end the last that did, if it was run again. Undefined at the end of a task that never started. */
  worker: Worker | undefined;
  /** At its end: how long it ran, ms. */
  duration?: number;
  /** At its end, if it failed: what its promise rejects with. */
  error?: unknown;
}

export interface WorkerEvent {
  readonly pool: Pool;
  readonly worker: Worker;
  /** At its end: what ended it. */
  readonly exitCode?: number | null;
  readonly signalCode?: NodeJS.Signals | null;
}

/** A worker runs it: published once the pool has learnt of that. Not for one that never starts. */
export const taskStart = channel('manyhands:task:start');
/** It has settled, whatever came of it. */
export const taskEnd = channel('manyhands:task:end');
/** A worker has been started; its initializer may be still to run. */
export const workerStart = channel('manyhands:worker:start');
export const workerEnd = channel('manyhands:worker:end');
