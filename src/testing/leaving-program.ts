/*
 * Programs with a whole family, to be ended from outside: `node leaving-program.js SCENARIO METHOD …`. Every process of it talks in lines of
 * JSON on the one stdout.
 */

import { once } from 'node:events';
import { Queue } from '../channel/queue.js';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT, PROCESS } from '../memory/layout.js';
import { record } from '../memory/participants.js';
import { Pool } from '../pool/pool.js';
import { carriers } from '../process/fixtures/methods.js';
import { Process } from '../process/process.js';
import { read } from '../process/records.js';
import { type StartMethod, setStartMethod } from '../process/start-method.js';
import { Thread } from '../process/thread.js';
import { EventFlag } from '../sync/event-flag.js';
import { Lock } from '../sync/lock.js';
import { countInUse } from './blocks.js';
import { children } from './processes.js';

const say = (what: unknown) => console.log(JSON.stringify(what));
export const forever = (): Promise<never> => new Promise(() => setInterval(() => {}, 1000));
export const busily = (): never => {
  for (;;);
};
const self = (name: string) => ({ module: __filename, export: name });

/** In a pool's worker: processes, and a pool, that are to end with it. Their pids, and its own. */
export async function branch(kind: 'process' | 'thread'): Promise<number[]> {
  const child = new Process({ target: self('forever') }).start();
  const daemon = new Process({ target: self('forever'), daemon: true }).start();
  const pool = new Pool(1, { kind: 'process' });
  const worker = await pool.run(() => process.pid);
  Object.assign(globalThis, { kept: [child, daemon, pool] });
  const started = [daemon.pid ?? 0, worker];
  // What a process of a pool starts ends with it; what a thread starts lives as that of any thread.
  return kind === 'process' ? [...started, child.pid ?? 0, process.pid] : started.concat(-(child.pid ?? 0));
}

/** Holds the lock, and has all kinds of children. Tells who is to end with it, and who is to live on. */
export async function parent(lock: Lock, queue: Queue<unknown>, done: EventFlag): Promise<void> {
  lock.acquireSync();
  const daemon = new Process({ target: self('busily'), daemon: true }).start();
  const asleep = new Process({ target: self('sleepOn'), args: [lock], daemon: true }).start();
  const thread = new Thread({ target: self('busily'), daemon: true }).start();
  const processes = new Pool(1, { kind: 'process' });
  const threads = new Pool(1, { kind: 'thread' });
  const orphan = new Process({ target: self('orphan'), args: [lock, queue, done] }).start();
  const all = (
    await Promise.all([processes.run(self('branch'), ['process']), threads.run(self('branch'), ['thread'])])
  ).flat() as number[];
  const bound = [daemon.pid, asleep.pid, ...all.filter(pid => pid > 0)];
  const free = all.filter(pid => pid < 0).map(pid => -pid);
  say({ parent: process.pid, bound, orphan: orphan.pid, free });
  Object.assign(globalThis, { kept: [thread, processes, threads] });
  await forever();
}

/** Blocks until the lock is its own. */
export function sleepOn(lock: Lock): void {
  lock.acquireSync();
}

/** Outlives its parent, and can still do everything. */
export async function orphan(lock: Lock, queue: Queue<unknown>, done: EventFlag): Promise<void> {
  const told = once(process, 'SIGUSR2');
  const waiting = setInterval(() => {}, 1000);
  const inherited = lock.acquireSync(); // its holder is killed
  inherited.release();
  await told;
  clearInterval(waiting);
  await queue.put('from an orphan');
  const child = new Process({
    target: (lock: Lock, queue: Queue<unknown>) => {
      lock.acquireSync().release();
      return queue.getSync();
    },
    args: [lock, queue],
  }).start();
  const thread = new Thread({ target: () => 'a thread of it' }).start();
  say([inherited.abandoned, await child.result(), await thread.result()]);
  await Promise.all([child.join(), thread.join()]);
  done.set();
}

const [, , scenario, method, ...args] = process.argv;

/** Blocked, asleep, busy, in a pool, in a thread: who must hear of Ctrl-C. */
async function family(daemon: boolean): Promise<Process[]> {
  const lock = new Lock();
  await lock.acquire();
  const all = [
    new Process({ target: self('busily'), daemon }).start(),
    new Process({ target: self('sleepOn'), args: [lock], daemon }).start(),
    new Process({ target: self('forever'), daemon }).start(),
  ];
  const pools = [new Pool(1, { kind: 'process' }), new Pool(1, { kind: 'thread' })];
  const busy = pools.map(async pool => {
    const pid = await pool.run(() => process.pid);
    pool.run(self('busily')).catch(() => {});
    return pid;
  });
  const threads = [
    new Thread({ target: self('busily'), daemon: true }).start(),
    new Thread({ target: self('sleepOn'), args: [lock], daemon: true }).start(),
  ];
  Object.assign(globalThis, { kept: [lock, pools, threads] });
  say(['up', process.pid, ...all.map(one => one.pid), (await Promise.all(busy))[0]]);
  return all;
}

const scenarios: Record<string, () => unknown> = {
  /** A parent by this method, or the program itself, with children by `method`. */
  async tree() {
    const [place] = args;
    const things = [new Lock(), new Queue<unknown>(), new EventFlag()] as const;
    if (place === 'root') return parent(...things);
    const Carrier = carriers.get(place as StartMethod) as typeof Process;
    const middle = new Carrier({ target: self('parent'), args: [...things] }).start();
    await middle.join();
    say(['parent', middle.signalCode]);
    await things[2].wait();
    for (const thing of things) thing[Symbol.dispose]();
    // Who sweeps after the last death may be another process. Who is just leaving may seem to have less than nothing.
    for (let look = 0; look < 500 && countInUse() !== 0; look++)
      await new Promise(resolve => setTimeout(resolve, 10));
    say({ left: countInUse() });
  },

  /** Waits for its end. */
  async plain() {
    await family(args[0] === 'daemons');
    await forever();
  },

  /** Sees to its end itself. */
  async handles() {
    const told = new Promise(resolve =>
      process.once(args[0] as NodeJS.Signals, signal => {
        clearInterval(waiting);
        resolve(signal);
      }),
    );
    const waiting = setInterval(() => {}, 1000);
    const all = await family(false);
    const signal = await told;
    if (args[0] === 'SIGTERM') for (const one of all) one.terminate();
    await Promise.all(all.map(one => one.join()));
    say([signal, ...all.map(one => one.signalCode)]);
    process.exit(7);
  },

  /** A daemon that is suspended, and hears SIGTERM. */
  async suspended() {
    const ready = new EventFlag();
    const daemon = new Process({
      target: async (ready: EventFlag) => {
        process.on('SIGTERM', () => process.exit(0));
        process.on('exit', () => console.log('"in order"'));
        ready.set();
        await new Promise(() => setInterval(() => {}, 1000));
      },
      args: [ready],
      daemon: true,
    }).start();
    await ready.wait();
    daemon.suspend();
    while (daemon.state !== 'stopped') await new Promise(resolve => setTimeout(resolve, 1));
    say(daemon.pid);
  },

  /** Starts processes as fast as it can. */
  async starts() {
    const started = new Set<Process>();
    for (let i = 0; ; i++) {
      const child = new Process({ target: () => {}, daemon: i % 2 === 0 });
      started.add(child.start());
      child.once('exit', () => started.delete(child));
      if (i === 3) say('up');
      if (started.size >= 8) await new Promise(resolve => setImmediate(resolve));
    }
  },

  /** Starts as many as it is told, and never looks after them. */
  async crowd() {
    const count = Number(args[0]);
    const memory = () => {
      globalThis.gc?.();
      return process.memoryUsage().rss;
    };
    const used = () => {
      let records = 0;
      for (let i = 0; i < words[HEADER.PROCESSES_USED]; i++) if (read(i, PROCESS.OWNER) !== 0) records++;
      let participants = 0;
      for (let i = 1; i < words[HEADER.PARTICIPANTS_USED]; i++)
        if (words[record(i) + PARTICIPANT.PID] !== 0) participants++;
      return { records, participants, blocks: countInUse() };
    };
    const zombies = () => {
      const own = children();
      return [...own, ...own.flatMap(one => children(one.pid))]
        .flatMap(one => [one, ...children(one.pid)])
        .filter(one => one.state === 'Z').length;
    };
    const run = async (many: number) => {
      let ended = 0;
      for (let i = 0; i < many; i++) {
        new Process({ target: () => {}, stdio: 'ignore' }).start().once('exit', () => ended++);
        while (i - ended > 20) await new Promise(resolve => setImmediate(resolve));
      }
      while (ended < many) await new Promise(resolve => setImmediate(resolve));
    };
    await run(Math.ceil(count / 4));
    const before = { memory: memory(), ...used() };
    const start = performance.now();
    await run(count);
    const after = { memory: memory(), ...used() };
    say({
      ms: performance.now() - start,
      grown: after.memory - before.memory,
      before,
      after,
      zombies: zombies(),
    });
  },
};

if (require.main === module) {
  setStartMethod(method as StartMethod);
  void scenarios[scenario]();
}
