/** What Node itself has: child_process.fork, the bare channels that pools are built on, Atomics, and files as locks. */
import { fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, unlinkSync } from 'node:fs';
import path from 'node:path';
import { Worker } from 'node:worker_threads';
import { inForks } from '../harness/contention.mjs';
import { produce } from '../harness/stream.mjs';

/** So many batches may be under way in a port: enough that the consumer never waits. */
const BATCHES_AHEAD = 16;

const file = name => path.join(import.meta.dirname, '../workers', name);

/** `program`: that instead of Node. */
export function lifecycle({ program }) {
  return async () => {
    await once(program ? spawn(program) : fork(file('empty.cjs')), 'exit');
  };
}

export function thread() {
  return () => once(new Worker(file('empty.cjs')), 'exit');
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
  const run = (task, value, transfer) =>
    new Promise(resolve => {
      const end = ends[next++ % ends.length];
      end.waiting.push(resolve);
      end.post([task, value], transfer);
    });
  return {
    run,
    move: bytes => run('giveBack', bytes, [bytes.buffer]),
    close: () => Promise.all(ends.map(end => end.close())),
  };
}

const atomics = {
  /** The least that a lock must do: take it if it is free, give it back if it is mine. */
  'compareExchange pair'() {
    const words = new Int32Array(new SharedArrayBuffer(64));
    return count => {
      for (let i = 0; i < count; i++) {
        if (Atomics.compareExchange(words, 0, 0, 1) !== 0) throw new Error('it is not free');
        if (Atomics.compareExchange(words, 0, 1, 0) !== 1) throw new Error('it is not mine');
      }
    };
  },
  add() {
    const words = new Int32Array(new SharedArrayBuffer(64));
    return count => {
      for (let i = 0; i < count; i++) Atomics.add(words, 0, 1);
    };
  },
};

export const openLoop = ({ of }) => atomics[of]();

export const contend = options => inForks(import.meta.url, options);

/** A file that only one can make; the others try until it is gone. */
export function openLock({ folder }) {
  const file = path.join(folder, 'lock');
  const acquire = () => {
    for (;;) {
      try {
        return closeSync(openSync(file, 'wx'));
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
    }
  };
  return {
    pairs(count) {
      for (let i = 0; i < count; i++) {
        acquire();
        unlinkSync(file);
      }
    },
    exclusively(work) {
      acquire();
      work();
      unlinkSync(file);
    },
  };
}

/** This process produces. Sockets take what they can hold, and say so; ports take all, so they are kept from it. */
export async function stream({ kind, ...options }) {
  const { consumer, fill } = kind === 'thread' ? threadStream(options) : processStream(options);
  const [put, [got]] = await Promise.all([produce(fill, options), once(consumer, 'end')]);
  return [put, got];
}

function processStream(options) {
  const child = fork(file('consume.mjs'), [JSON.stringify(options)], {
    serialization: options.item === 'bytes' ? 'advanced' : 'json',
  });
  child.on('message', part => child.emit('end', part));
  const fill = (make, from, to) =>
    new Promise((resolve, reject) => {
      for (let i = from; i < to - 1; i++) child.send(make(i));
      child.send(make(to - 1), error => (error ? reject(error) : resolve()));
    });
  return { consumer: child, fill };
}

function threadStream(options) {
  const worker = new Worker(file('consume.mjs'), { workerData: options });
  let ahead = 0;
  let goOn;
  worker.on('message', message => {
    if (message !== 'taken') return worker.emit('end', message);
    ahead--;
    goOn?.();
  });
  const fill = async (make, from, to) => {
    for (let i = from; i < to; i++) worker.postMessage(make(i));
    ahead++;
    while (ahead > BATCHES_AHEAD)
      await new Promise(resolve => {
        goOn = resolve;
      });
  };
  return { consumer: worker, fill };
}

/** Numbers there and back, or `size` bytes; the channel's own answer to ours, without a queue or a pipe between. */
export async function openPingPong({ kind, size }) {
  const { run, close } = await openPool({ kind, workers: 1 });
  let trips = 0;
  const trip = async () => {
    const message = size ? new Uint8Array(size).fill(trips) : trips;
    const answer = await run('echo', message);
    if ((size ? answer[size - 1] : answer) !== (size ? trips & 255 : trips))
      throw new Error('a wrong answer');
    trips++;
  };
  return { trip, close };
}

function threadEnd() {
  const worker = new Worker(file('bare.cjs'));
  return listen(
    worker,
    (message, transfer) => worker.postMessage(message, transfer),
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
