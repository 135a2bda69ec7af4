import path from 'node:path';
import type { Ending } from '../errors/errors.js';
import { loadAhead } from '../process/cradle.js';
import { Process } from '../process/process.js';
import { bornWith } from '../process/server.js';
import type { StartMethod } from '../process/start-method.js';
import { Thread } from '../process/thread.js';
import type { WorkerOptions } from './worker.js';

/** What carries a pool's worker: a process or a thread. */
export interface Carrier {
  readonly execution: Process | Thread;
  readonly pid: number;
  /** Ends it now, whatever it does. 'exit' follows. */
  kill(): void;
}

export type Kind = 'process' | 'thread';

/** Starts a worker. `ended` is called once, when it has ended, never before this returns. */
export function startWorker(
  kind: Kind,
  options: WorkerOptions,
  method: StartMethod | undefined,
  ended: (end: Ending) => void,
): Carrier {
  return kind === 'process' ? new ProcessCarrier(options, method, ended) : new ThreadCarrier(options, ended);
}

/**
 * What a worker runs. Named rather than given: to see where a function is from takes V8's inspector, whose first use takes as long as
 * a Worker to boot.
 */
const LIFE = { module: path.join(__dirname, 'worker.js'), export: 'serveToTheEnd' };
bornWith(LIFE.module);
loadAhead(LIFE.module);

/** Ends with the pool's process, yet may have children of its own, which end with it. */
class PoolProcess extends Process {
  readonly #method: StartMethod | undefined;

  constructor(options: WorkerOptions, method: StartMethod | undefined) {
    super({ target: LIFE, args: [options] });
    this.name = this.name.replace('Process', 'PoolWorker');
    this.#method = method;
    this.unref();
  }

  protected override get startMethod(): StartMethod {
    return this.#method ?? super.startMethod;
  }

  protected override get endsWithParent(): boolean {
    return true;
  }
}

class ProcessCarrier implements Carrier {
  readonly execution: Process;
  readonly pid: number;

  constructor(options: WorkerOptions, method: StartMethod | undefined, ended: (end: Ending) => void) {
    this.execution = new PoolProcess(options, method).start();
    const pid = this.execution.pid ?? 0;
    this.pid = pid;
    this.execution.on('exit', (exitCode, signalCode) => ended({ pid, exitCode, signalCode }));
  }

  kill(): void {
    this.execution.kill();
  }
}

/** Ends with the pool's thread, as threads do. */
class PoolThread extends Thread {
  static #hasAnyEnded = false;

  constructor(options: WorkerOptions) {
    super({ target: LIFE, args: [options], daemon: true });
    this.name = this.name.replace('Thread', 'PoolWorker');
    this.on('exit', () => {
      PoolThread.#hasAnyEnded = true;
    });
  }

  /** Most programs have one pool, for long: to boot more Workers would take CPU time from its first tasks, for nothing. */
  protected override get foretellsMore(): boolean {
    return PoolThread.#hasAnyEnded;
  }
}

class ThreadCarrier implements Carrier {
  readonly execution: Thread;
  readonly pid = process.pid;

  constructor(options: WorkerOptions, ended: (end: Ending) => void) {
    this.execution = new PoolThread(options).start();
    this.execution.on('exit', (exitCode, signalCode) => ended({ pid: this.pid, exitCode, signalCode }));
  }

  kill(): void {
    this.execution.terminate();
  }
}
