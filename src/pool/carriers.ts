import path from 'node:path';
import { WorkerDiedError } from '../errors/errors.js';
import { loadAhead } from '../process/cradle.js';
import type { Process } from '../process/process.js';
import { Servant } from '../process/servant.js';
import { bornWith } from '../process/server.js';
import type { StartMethod } from '../process/start-method.js';
import { Thread } from '../process/thread.js';
import type { WorkerEnding } from './death.js';
import type { WorkerOptions } from './worker.js';

/** What carries a pool's worker: a process or a thread. */
export interface Carrier {
  readonly execution: Process | Thread;
  readonly pid: number;
  /** Ends it now, whatever it does. 'exit' follows. */
  kill(): void;
  /** The same, of a process by SIGTERM, which tasks may have it listen to. */
  terminate(): void;
}

export type Kind = 'process' | 'thread';

/** How a worker is ended. */
export type Blow = 'kill' | 'terminate';

/** Starts a worker. `ended` is called once, when it has ended, never before this returns. */
export function startWorker(
  kind: Kind,
  options: WorkerOptions,
  method: StartMethod | undefined,
  ended: (end: WorkerEnding) => void,
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

class PoolProcess extends Servant {
  constructor(options: WorkerOptions, method: StartMethod | undefined) {
    super(LIFE, [options], 'PoolWorker', method);
  }

  override get failure(): unknown {
    return super.failure;
  }
}

const FROM_OUTSIDE: readonly unknown[] = ['SIGKILL', 'SIGINT', 'SIGTERM', 'SIGHUP'];

class ProcessCarrier implements Carrier {
  readonly execution: Process;
  readonly pid: number;

  constructor(options: WorkerOptions, method: StartMethod | undefined, ended: (end: WorkerEnding) => void) {
    const execution = new PoolProcess(options, method).start();
    const pid = execution.pid ?? 0;
    const who = `${execution.name} (process ${pid})`;
    this.execution = execution;
    this.pid = pid;
    execution.on('exit', (exitCode, signalCode) => {
      const isFromOutside = FROM_OUTSIDE.includes(signalCode);
      const cause = causeOf(execution.failure, signalCode);
      ended({ who, pid, exitCode, signalCode, isFromOutside, cause });
    });
  }

  kill(): void {
    this.execution.kill();
  }

  terminate(): void {
    this.execution.terminate();
  }
}

/** Ends with the pool's thread, as threads do. */
class PoolThread extends Thread {
  static #hasAnyEnded = false;
  wasTerminated = false;

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

  override terminate(): void {
    super.terminate();
    this.wasTerminated = true;
  }

  override get failure(): unknown {
    return super.failure;
  }
}

class ThreadCarrier implements Carrier {
  readonly execution: Thread;
  readonly pid = process.pid;

  constructor(options: WorkerOptions, ended: (end: WorkerEnding) => void) {
    const execution = new PoolThread(options).start();
    const { pid } = this;
    const who = `${execution.name} (a thread)`;
    this.execution = execution;
    execution.on('exit', (exitCode, signalCode) => {
      const isFromOutside = execution.wasTerminated;
      const cause = causeOf(execution.failure, signalCode);
      ended({ who, pid, exitCode, signalCode, isFromOutside, cause });
    });
  }

  kill(): void {
    this.terminate();
  }

  terminate(): void {
    this.execution.terminate();
  }
}

/** `failure`: what its result() rejects with. */
function causeOf(failure: unknown, signalCode: NodeJS.Signals | null): unknown {
  if (!(failure instanceof WorkerDiedError)) return failure;
  // That it ended is known; of an abort it may say that the heap was full.
  return failure.cause ?? (signalCode === 'SIGABRT' ? failure : undefined);
}
