/* A program that forks itself, for tests: does what its argument names, and talks in lines of JSON. Started with --single-threaded. */
import { spawn } from 'node:child_process';
import { pbkdf2, randomInt, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { readFile, stat } from 'node:fs';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { Pipe } from '../channel/pipe.js';
import { Queue } from '../channel/queue.js';
import { Pool } from '../pool/pool.js';
import { fork } from '../process/fork.js';
import * as os from '../process/os.js';
import { Process } from '../process/process.js';
import { Thread } from '../process/thread.js';
import { EventFlag } from '../sync/event-flag.js';
import { Lock } from '../sync/lock.js';
import { RLock } from '../sync/rlock.js';
import { Semaphore } from '../sync/semaphore.js';
import { children } from './processes.js';

const say = (what: unknown) => console.log(JSON.stringify(what));
const codeOf = (act: () => unknown) => {
  try {
    return act() ?? 'nothing';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? String(error);
  }
};
/** In a fork, once its parent has ended. */
async function orphaned(parent: number): Promise<void> {
  while (process.ppid === parent) await sleep(5);
}
/** Callbacks of file operations. */
const TOLD = 8;

const die = () => process.kill(process.pid, 'SIGKILL');

const scenarios: Record<string, (...args: string[]) => unknown> = {
  /** Two forks one after the other: four processes. */
  twice() {
    const first = fork();
    const second = fork();
    const who = `${first === 0 ? 'child' : 'parent'} ${second === 0 ? 'child' : 'parent'}`;
    say(['line', who]);
    queueMicrotask(() => say(['microtask', who]));
    setTimeout(() => say(['timer', who]), 5);
    process.on('exit', code => say(['exit', who, code]));
  },

  /** From the first of many callbacks that the pool's work has come to at once; the child goes on with the others, and with its own. */
  told() {
    let told = 0;
    let pid: number | undefined;
    const tell = () => {
      if (++told < TOLD) return;
      stat(__filename, () => say([pid === 0 ? 'child' : 'parent', told]));
    };
    for (let i = 0; i < TOLD; i++)
      stat(__filename, () => {
        pid ??= fork();
        tell();
      });
    // Until all of it is done: then it is told in one turn.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 100);
  },

  /** From within callbacks and async functions. */
  async inside() {
    const settled = sleep(20, 'promise'); // began before
    await new Promise<void>(resolve => setTimeout(() => resolve(void fork()), 1));
    say([await settled, process.argv[2]]);
    await new Promise<void>(resolve => readFile(__filename, () => resolve(void fork())));
    const where = await (async () => {
      await null;
      fork();
      await sleep(1);
      return 'async function';
    })();
    const text = await new Promise(resolve =>
      readFile(__filename, 'utf8', (_, read) => resolve(read.length)),
    );
    say([where, Number(text) > 0]);
  },

  /** The classic server: accepts, and forks for each connection. Ends after so many. */
  server(connections) {
    let [served, ended] = [0, 0];
    const pids = new Set<number>();
    const statuses = new Set<number>();
    const server = createServer(socket => {
      const pid = fork();
      if (pid === 0) {
        server.close();
        socket.once('data', bytes => socket.end(`${process.pid} ${bytes}`));
        return;
      }
      socket.destroy();
      pids.add(pid);
      void os.waitpid(pid).then(([, status]) => {
        statuses.add(status);
        if (++ended === Number(connections)) say([pids.size, [...statuses], children(process.pid).length]);
      });
      if (++served === Number(connections)) server.close();
    }).listen(0, '127.0.0.1', () => say((server.address() as { port: number }).port));
  },

  /** Children have memory and random numbers of their own. */
  async copies() {
    const results = new Queue<unknown>();
    const state = { count: 1 };
    randomUUID();
    randomInt(9);
    for (let i = 0; i < 20; i++) {
      if (fork() !== 0) continue;
      state.count += i;
      await results.put([
        state.count,
        Math.random(),
        randomUUID(),
        randomInt(2 ** 40),
        process.pid,
        process.ppid,
      ]);
      return;
    }
    const all: unknown[] = [];
    while (all.length < 20) all.push(await results.get());
    say([process.pid, state.count, all]);
  },

  /** How children end, as their parent is told. */
  async endings() {
    process.on('exit', () => say(['exit', process.exitCode ?? null]));
    const ends = async (child: () => unknown) => {
      const pid = fork();
      if (pid === 0) {
        await child();
        await new Promise(() => {});
      }
      const [ended, status] = await os.waitpid(pid);
      const { WIFEXITED, WEXITSTATUS, WIFSIGNALED, WTERMSIG } = os;
      return [
        ended === pid,
        WIFEXITED(status) && WEXITSTATUS(status),
        WIFSIGNALED(status) && WTERMSIG(status),
      ];
    };
    const told: unknown[] = [];
    told.push(await ends(() => {}));
    told.push(await ends(() => process.exit(7)));
    told.push(
      await ends(() => {
        process.exitCode = 8;
      }),
    );
    told.push(await ends(() => os._exit(9)));
    told.push(await ends(() => setTimeout(() => process.kill(process.pid, 'SIGTERM'), 1)));
    told.push(
      await ends(() => {
        setTimeout(() => {
          throw new Error('thrown in a child');
        }, 1);
      }),
    );
    told.push(await ends(() => void Promise.reject(new Error('rejected in a child'))));
    process.removeAllListeners('exit');
    say(told);
  },

  /** What wait() and waitpid() say. */
  async waiting() {
    const told: unknown[] = [];
    const flag = new EventFlag();
    const code = (promise: Promise<unknown>) =>
      promise.then(
        () => 'fine',
        error => error.code,
      );
    told.push(
      await code(os.wait()),
      codeOf(() => os.waitpidSync(-1)),
      codeOf(() => os.waitpidSync(1)),
    );
    told.push(codeOf(() => os.waitpidSync(0)) === 'ERR_LIFECYCLE', await os.waitpid(-1).catch(e => e.code));
    const first = fork();
    if (first === 0) {
      await flag.wait();
      process.exit(1);
    }
    told.push(os.waitpidSync(first, { nohang: true }), await os.waitpid(-1, { nohang: true }));
    const second = fork();
    if (second === 0) os._exit(2);
    told.push((await os.wait())[0] === second);
    const [any, own] = [os.wait(), os.waitpid(first)];
    flag.set();
    told.push((await any)[0] === first, await code(own));
    const third = fork();
    if (third === 0) os._exit(3);
    told.push(os.waitpidSync(-1)[0] === third, await code(os.waitpid(third)));
    const process_ = new Process({ target: () => {} }).start();
    told.push(await code(os.waitpid(process_.pid as number)));
    await process_.join();
    say(told);
  },

  /** Signals to a child are the child's. */
  async signals() {
    process.on('SIGTERM', () => say(['SIGTERM', process.pid]));
    const idle = setInterval(() => {}, 1000);
    const ready = new EventFlag();
    const pid = fork();
    if (pid === 0) {
      process.once('SIGTERM', () => clearInterval(idle));
      ready.set();
      return;
    }
    await ready.wait();
    process.kill(pid, 'SIGTERM');
    say(['ended', pid, (await os.waitpid(pid))[1]]);
    clearInterval(idle);
  },

  /** What of a parent's affairs could keep a fork from its end, or disturb it. */
  async affairs() {
    const lasting = spawn('sleep', ['60'], { stdio: ['pipe', 'pipe', 'inherit'] });
    const daemon = new Process({
      target: () => new Promise(() => setInterval(() => {}, 1000)),
      daemon: true,
    }).start();
    const other = new Process({ target: () => 'other', stdio: 'pipe' }).start();
    const lock = new Lock();
    lock.tryAcquire();
    const acquired = lock.acquire();
    lasting.stdout.resume();
    let computed = 0;
    for (let i = 0; i < 6; i++) pbkdf2('a', 'b', 20_000, 64, 'sha512', () => computed++);
    const pid = fork();
    if (pid === 0) return;
    const [, status] = await os.waitpid(pid);
    lock.release();
    (await acquired).release();
    while (computed < 6) await sleep(5);
    const kept = [status, daemon.isAlive(), await other.result(), lasting.exitCode];
    const closed = once(lasting, 'close');
    lasting.kill();
    await closed;
    say([...kept, lasting.signalCode]);
  },

  /** Processes and pools of the child's own, and those of its parent. */
  async family() {
    const pool = new Pool(1);
    const result = pool.run((x: number) => x + 1, [1]);
    const pid = fork();
    if (pid === 0) {
      const refused = [
        codeOf(() => pool.run(() => 1)),
        codeOf(() => pool.close()),
        await pool.terminate().catch(error => error.code),
        codeOf(() => result.cancel()),
      ];
      await using own = new Pool(1);
      const child = new Process({ target: (x: number) => x * 2, args: [4] }).start();
      say([refused, await own.run((x: number) => x * 3, [3]), await child.result()]);
      return;
    }
    say([(await os.waitpid(pid))[1], await result, await pool.run((x: number) => x, [5])]);
    await pool.terminate();
  },

  /** Locks of the parent and of the child. */
  async locks() {
    const [lock, again, semaphore, held] = [new Lock(), new RLock(), new Semaphore(1), new EventFlag()];
    const guards = [again.tryAcquire(), semaphore.tryAcquire()];
    const pid = fork();
    if (pid === 0) {
      const told = [codeOf(() => again.release()), again.tryAcquire()];
      for (const guard of guards) guard?.release();
      say([...told, again.locked(), semaphore.tryAcquire()]);
      const guard = await lock.acquire();
      held.set();
      await new Promise(() => setInterval(() => guard, 1000));
    }
    await held.wait();
    const acquired = lock.acquire();
    process.kill(pid, 'SIGKILL');
    say([(await acquired).abandoned, (await os.waitpid(pid))[1]]);
    for (const guard of guards) guard?.release();
    say([again.locked(), semaphore.tryAcquire() !== null]);
  },

  /** A pipe and a queue have both processes at their ends. */
  async ends() {
    const [ours, theirs] = Pipe();
    const queue = new Queue<number>();
    if (fork() === 0) {
      ours.close();
      for (;;) {
        const number = await theirs.recv().catch(() => undefined);
        if (number === undefined) return;
        await theirs.send((number as number) + 1);
        await queue.put(number as number);
      }
    }
    theirs.close();
    const told: unknown[] = [];
    for (let i = 0; i < 3; i++) {
      await ours.send(i);
      told.push(await ours.recv(), await queue.get());
    }
    const pid = fork();
    if (pid === 0) die();
    await os.waitpid(pid);
    ours.close(); // whoever of the forks had it is gone: so the first ends
    await os.wait();
    say(told);
  },

  /** The parent is killed; what it shared stays with its forks, and what it held comes to them. `how` the last one waits. */
  async orphans(how) {
    const [lock, ready] = [new Lock(), new EventFlag()];
    const root = process.pid;
    const acquire = async () => (how === 'blocking' ? lock.acquireSync() : await lock.acquire());
    await acquire();
    if (fork() === 0) {
      const { abandoned } = await acquire();
      ready.set();
      await orphaned(root);
      say(['first', abandoned]);
      setTimeout(die, 20);
      return;
    }
    if (fork() === 0) {
      await orphaned(root);
      await ready.wait();
      say(['second', (await acquire()).abandoned]);
      return;
    }
    setTimeout(die, 20);
  },

  /** So many children that nobody waits for. */
  async unattended(count) {
    const done = new Queue<number>();
    for (let i = 0; i < Number(count); i++) {
      if (fork() === 0) os._exit(0);
      if (i % 50 === 49) await sleep(0);
    }
    done[Symbol.dispose]();
    while (children(process.pid).length > 0) await sleep(5);
    say((await os.wait())[1]);
  },

  async unsafe() {
    const told: unknown[] = [];
    const worker = new Worker('require("node:worker_threads").parentPort.once("message", () => {})', {
      eval: true,
    });
    told.push(codeOf(fork));
    worker.postMessage(0);
    await once(worker, 'exit');
    const thread = new Thread({
      target: (file: string) => {
        try {
          return require(file).fork();
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      },
      args: [require.resolve('../process/fork.js')],
    }).start();
    told.push(await thread.result());
    await thread.join();
    if (fork() === 0) return;
    told.push((await os.wait())[1]);
    say(told);
  },
};

if (require.main === module) void scenarios[process.argv[2]](...process.argv.slice(3));
