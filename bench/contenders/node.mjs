/** What Node itself has: child_process.fork, and the bare channels that pools are built on. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { Worker } from 'node:worker_threads';

const file = name => path.join(import.meta.dirname, '../workers', name);

/** `program`: that instead of Node. */
export function lifecycle({ program }) {
  return async () => {
    await once(program ? spawn(program) : fork(file('empty.cjs')), 'exit');
  };
}

export function startIdle(marker) {
  const child = fork(file('idle.cjs'), { env: { ...process.env, BENCH_IDLE: marker } });
  return {
    pid: child.pid,
    async end() {
      const ended = once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** Answers come in the order of the questions, so a queue of resolvers for each worker is all that is needed. */
export async function openPool({ kind, workers }) {
  const ends = Array.from({ length: workers }, kind === 'thread' ? threadEnd : processEnd);
  let next = 0;
  const ask = (task, value) =>
    new Promise(resolve => {
      const end = ends[next++ % ends.length];
      end.waiting.push(resolve);
      end.post([task, value]);
    });
  return {
    increment: x => ask('increment', x),
    echo: bytes => ask('echo', bytes),
    close: () => Promise.all(ends.map(end => end.close())),
  };
}

function threadEnd() {
  const worker = new Worker(file('bare.cjs'));
  return listen(
    worker,
    message => worker.postMessage(message),
    () => worker.terminate(),
  );
}

function processEnd() {
  const child = fork(file('bare.cjs'), { serialization: 'advanced' });
  return listen(
    child,
    message => child.send(message),
    () => child.kill(),
  );
}

function listen(emitter, post, close) {
  const waiting = new Queue();
  emitter.on('message', answer => waiting.shift()(answer));
  return { waiting, post, close };
}

class Queue {
  #items = [];
  #head = 0;
  push(item) {
    this.#items.push(item);
  }
  shift() {
    const item = this.#items[this.#head];
    this.#items[this.#head++] = undefined;
    if (this.#head === 4096) {
      this.#items = this.#items.slice(this.#head);
      this.#head = 0;
    }
    return item;
  }
}
