import '../register.js';
import { answerCalls } from '../../testing/programs.js';
import { JoinableQueue } from '../joinable-queue.js';
import { LifoQueue } from '../lifo-queue.js';
import { PriorityQueue } from '../priority-queue.js';
import { Queue } from '../queue.js';
import { SimpleQueue } from '../simple-queue.js';

/* An unrelated program for tests, which opens queues by name. */
const kinds = { Queue, SimpleQueue, JoinableQueue, LifoQueue, PriorityQueue };
export type Kind = keyof typeof kinds;

const opened = new Map<string, any>();

const acts = {
  open: (kind: Kind, name: string, maxsize?: number | null) =>
    void opened.set(name, new kinds[kind](maxsize ?? 0, { name })),
  /** Calls a method of the queue. */
  call: (name: string, method: string, ...args: unknown[]) => the(name)[method](...args),
  dispose: (name: string) => the(name)[Symbol.dispose](),
  /** Puts a function that adds to a number that it has captured. */
  putAdder: (name: string, number: number) => the(name).put((n: number) => n + number),
  callGot: async (name: string, n: number) => (await the(name).get())(n),
  /** Puts [who, 0], [who, 1] and so on, short and long ones, until it is killed; tells how many are safe. */
  produce: async (name: string, who: number) => {
    for (let i = 0; ; i++) {
      await the(name).put([who, i, 'x'.repeat(i % 5 === 0 ? 5000 : 10)]);
      process.send?.({ safe: i });
    }
  },
  /** Gets, and is done with, one item after the other until it is killed. */
  consume: async (name: string) => {
    for (;;) {
      const [who, i] = await the(name).get();
      the(name).taskDone?.();
      process.send?.({ got: [who, i] });
    }
  },
  /** What arrives, described. */
  describe: async (name: string) => {
    const item = await the(name).get();
    return Object.entries(item).map(([key, value]) => [key, (value as object).constructor.name]);
  },
};

function the(name: string): any {
  const queue = opened.get(name);
  if (!queue) throw new Error(`not open: ${name}`);
  return queue;
}

export type Act = keyof typeof acts;
answerCalls(acts);
