import { boundProcesses } from '../process/bound.js';
import type { Process } from '../process/process.js';
import type { StartMethod } from '../process/start-method.js';
import { Thread } from '../process/thread.js';

/** One that runs a function beside this thread. */
export type Peer<R> = (Process<any[], R> | Thread<any[], R>) & { kill(): void };

/** A way to run a function beside this thread: what every suite runs over. */
export interface Carrier {
  readonly name: string;
  start<A extends readonly unknown[], R>(target: (...args: A) => R | PromiseLike<R>, ...args: A): Peer<R>;
}

class Killable extends Thread {
  /** As abruptly as a thread can end. */
  kill(): void {
    this.terminate();
  }
}

function processes(method: StartMethod): Carrier {
  const Started = boundProcesses[method];
  return {
    name: `processes by ${method}`,
    start: (target, ...args) =>
      new Started({ target: target as never, args: args as never }).start() as never,
  };
}

export const threads: Carrier = {
  name: 'threads',
  start: (target, ...args) => new Killable({ target: target as never, args: args as never }).start() as never,
};
export const forked: Carrier = processes('forkserver');
export const spawned: Carrier = processes('spawn');

/** Every other one a thread, of the processes the third a spawned one: these take their time. */
export function mixed(): Carrier {
  const all = [threads, forked, threads, forked, threads, spawned];
  let next = 0;
  return { name: 'threads and processes mixed', start: (...args) => all[next++ % all.length].start(...args) };
}

export const carriers: readonly Carrier[] = [threads, forked, spawned];
