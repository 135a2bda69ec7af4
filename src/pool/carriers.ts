import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { entryModule } from '../codec/functions/modules.js';
import type { Ending } from '../errors/errors.js';
import { nextThreadName, type SharedIdentity, shareIdentity } from '../process/identity.js';
import { Process } from '../process/process.js';
import { bornWith } from '../process/server.js';
import type { StartMethod } from '../process/start-method.js';
import { serveProcess, type WorkerOptions } from './worker.js';

/** What carries a pool's worker: a process or a thread. */
export interface Carrier {
  readonly pid: number;
  /** The process, if it is one. */
  readonly process: Process | undefined;
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

bornWith(path.join(__dirname, 'worker.js'));

/** Ends with the pool's process, yet may have children of its own, which end with it. */
class PoolProcess extends Process {
  readonly #method: StartMethod | undefined;

  constructor(options: WorkerOptions, method: StartMethod | undefined) {
    super({ target: serveProcess, args: [options] });
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
  readonly process: Process;
  readonly pid: number;

  constructor(options: WorkerOptions, method: StartMethod | undefined, ended: (end: Ending) => void) {
    this.process = new PoolProcess(options, method);
    this.process.start();
    const pid = this.process.pid ?? 0;
    this.pid = pid;
    this.process.on('exit', (exitCode, signalCode) => ended({ pid, exitCode, signalCode }));
  }

  kill(): void {
    this.process.kill();
  }
}

/** What a worker that is a thread is told at its birth. */
export interface ThreadData {
  readonly options: WorkerOptions;
  readonly name: string;
  readonly identity: SharedIdentity;
  readonly entry: string | undefined;
}

class ThreadCarrier implements Carrier {
  readonly process = undefined;
  readonly pid = process.pid;
  readonly #worker: Worker;

  constructor(options: WorkerOptions, ended: (end: Ending) => void) {
    this.#worker = new Worker(path.join(__dirname, 'thread-main.js'), {
      workerData: {
        options,
        name: nextThreadName().replace('Thread', 'PoolWorker'),
        identity: shareIdentity(),
        entry: entryModule(),
      } satisfies ThreadData,
    });
    this.#worker.unref();
    this.#worker.on('error', () => {}); // an uncaught error ends it: told by 'exit'
    this.#worker.on('exit', exitCode => ended({ pid: process.pid, exitCode, signalCode: null }));
  }

  kill(): void {
    void this.#worker.terminate();
  }
}
