import { createRequire } from 'node:module';
import path from 'node:path';
import { COUNTER, first } from '../harness/store.mjs';
import idleTask from '../workers/idle.cjs';
import { blocking, waiting } from '../workers/locks.mjs';
import { ends, isBlocking } from '../workers/ping-pong.mjs';
import { Counter } from '../workers/stores.mjs';
import { echo, increment, nothing, touchShared } from '../workers/tasks.mjs';

const require = createRequire(import.meta.url);
const dist = path.resolve(process.env.MANYHANDS_DIST ?? path.join(import.meta.dirname, '../../dist'));
const {
  BaseManager,
  Condition,
  EventFlag,
  fork,
  getContext,
  Lock,
  Manager,
  os,
  Pipe,
  Pool,
  Process,
  Queue,
  RLock,
  Semaphore,
  setStartMethod,
  SharedArray,
  SharedMap,
  Thread,
  Value,
} = require(path.join(dist, 'index.js'));

/** `sync`: join by blocking, not by the event loop. `target`: 'imported' for a function that the child has to import. */
export function lifecycle({ method, target, sync = false }) {
  if (method === 'os.fork') return forkAndWait;
  setStartMethod(method);
  const run = target === 'imported' ? nothing : () => {};
  return sync
    ? () => {
        new Process({ target: run }).start().joinSync();
      }
    : async () => {
        await new Process({ target: run }).start().join();
      };
}

function forkAndWait() {
  const pid = fork();
  if (pid === 0) os._exit(0);
  os.waitpidSync(pid);
}

/** `reserve`: false for threads that cannot be born in a Worker of the reserve. */
export function thread({ sync = false, reserve = true }) {
  const run = () => {};
  const options = reserve ? { target: run } : { target: run, limits: { stack: 4 << 20 } };
  return sync
    ? () => {
        new Thread(options).start().joinSync();
      }
    : async () => {
        await new Thread(options).start().join();
      };
}

export function startIdle(file) {
  const child = new Process({ target: idleTask.idle, args: [file] }).start();
  return {
    pid: child.pid,
    end() {
      child.kill();
      return child.join();
    },
  };
}

const tasks = { increment, echo, touch: touchShared };

/** `method`: how its processes start. */
export async function openPool({ kind, workers, method }) {
  const context = method ? { context: getContext(method) } : {};
  const pool = new Pool({ size: workers, kind, ...context });
  return {
    run: (task, value) => pool.run(tasks[task], [value]),
    map: items => pool.map(increment, items),
    move: bytes => pool.run(echo, [bytes], { transfer: [bytes.buffer] }),
    shared: size => new SharedArray('u8', size),
    multiplier(factor, { fresh }) {
      const multiply = y => y * factor;
      return fresh ? x => pool.run(y => y * factor, [x]) : x => pool.run(multiply, [x]);
    },
    close: () => pool.terminate(),
  };
}

/** By what they repeat. */
const loops = {
  Lock: () => blocking(new Lock()).pairs,
  RLock: () => blocking(new RLock()).pairs,
  'Lock, async': () => waiting(new Lock()).pairs,
  Semaphore: () => blocking(new Semaphore(1)).pairs,
  'Value under its lock'({ type }) {
    const value = new Value(type);
    return checked(value, count => {
      for (let i = 0; i < count; i++) {
        const guard = value.getLock().acquireSync();
        value.value += 1;
        guard.release();
      }
    });
  },
  'Value in runExclusiveSync'({ type }) {
    const value = new Value(type);
    const increase = () => {
      value.value += 1;
    };
    return checked(value, count => {
      for (let i = 0; i < count; i++) value.getLock().runExclusiveSync(increase);
    });
  },
  'Value.add'({ type }) {
    const one = type === 'q' ? 1n : 1;
    const value = new Value(type);
    return checked(value, count => {
      for (let i = 0; i < count; i++) value.add(one);
    });
  },
};

export const openLoop = ({ of, ...options }) => loops[of](options);

function checked(value, loop) {
  return count => {
    const before = Number(value.value);
    loop(count);
    if (Number(value.value) !== before + count) throw new Error('a wrong result');
  };
}

const worker = (file, name) => ({ module: new URL(`../workers/${file}`, import.meta.url), export: name });

/** `sync`: the blocking form. */
export async function contend(options) {
  const lock = new Lock();
  const children = Array.from({ length: options.processes }, () =>
    new Process({ target: worker('locks.mjs', 'contend'), args: [lock, options] }).start(),
  );
  const shares = await Promise.all(children.map(child => child.result()));
  await Promise.all(children.map(child => child.join()));
  return shares;
}

/** `kind` of both ends: 'process' or 'thread'. `maxsize`: how many the queue holds at most. */
export async function stream({ kind, of, maxsize, ...options }) {
  const queue = of === 'Queue' && new Queue(maxsize);
  const [source, sink] = queue ? [queue, queue] : Pipe({ duplex: false });
  const Execution = kind === 'thread' ? Thread : Process;
  const start = (name, end) =>
    new Execution({ target: worker('channels.mjs', name), args: [end, options] }).start();
  const parties = Array.from({ length: options.pairs }, () => [
    start('consume', source),
    start('produce', sink),
  ]).flat();
  const parts = await Promise.all(parties.map(party => party.result()));
  await Promise.all(parties.map(party => party.join()));
  return parts;
}

const sides = {
  EventFlag() {
    const parts = [new EventFlag(), new EventFlag()];
    const [there, back] = parts;
    const trip = () => {
      there.set();
      back.waitSync();
      back.clear();
    };
    return { parts, begin() {}, trip };
  },
  Condition() {
    const condition = new Condition();
    const trip = () => {
      condition.notify();
      condition.waitSync();
    };
    // Once the other side waits, and by that has given the lock back.
    return { parts: [condition], begin: () => condition.lock.acquireSync(), trip };
  },
};

/** What goes there and back, a number that tells which trip it is of, or `size` bytes. */
function channelSides(of, size) {
  const [here, far] = of.startsWith('Queue') ? queueEnds() : Pipe().map(end => ({ end }));
  const { send, receive } = ends[of](here);
  let trips = 0;
  const message = size ? () => new Uint8Array(size).fill(trips) : () => trips;
  const check = answer => {
    if ((size ? answer[size - 1] : answer) !== (size ? trips & 255 : trips))
      throw new Error('a wrong answer');
    trips++;
  };
  const trip = isBlocking(of)
    ? () => {
        send(message());
        check(receive());
      }
    : async () => {
        await send(message());
        check(await receive());
      };
  return { parts: far, begin() {}, trip };
}

function queueEnds() {
  const [one, other] = [new Queue(), new Queue()];
  return [
    { there: one, back: other },
    { there: other, back: one },
  ];
}

/** `marker.file` is one byte longer when the other side is there. */
export async function openPingPong({ of, size, marker }) {
  const { parts, begin, trip } = of in ends ? channelSides(of, size) : sides[of]();
  const target = worker('ping-pong.mjs', 'pingPong');
  const child = new Process({ target, args: [of, parts, marker.file] }).start();
  await marker.reached(1);
  begin();
  return {
    trip,
    close() {
      child.kill();
      return child.join();
    },
  };
}

/** What is shared, how what is under COUNTER is read, and what is to be closed. */
const shared = {
  SharedMap() {
    const map = new SharedMap(first());
    return { store: map, counter: () => map.get(COUNTER), close() {} };
  },
  async dict() {
    const manager = await Manager();
    const dict = await manager.dict(first());
    return { store: dict, counter: () => dict.get(COUNTER), close: () => manager.shutdown() };
  },
  async counter() {
    class Counters extends BaseManager {}
    Counters.register('Counter', Counter);
    const manager = await new Counters().start();
    return { store: await manager.create('Counter'), counter() {}, close: () => manager.shutdown() };
  },
};

/** `of`: what they share; `form`: 'async' one step at a time, 'pipelined' many under way. */
export async function useStore(options) {
  const { store, counter, close } = await shared[options.of]();
  const children = Array.from({ length: options.processes }, () =>
    new Process({ target: worker('stores.mjs', 'use'), args: [store, options] }).start(),
  );
  const shares = await Promise.all(children.map(child => child.result()));
  await Promise.all(children.map(child => child.join()));
  const found = { shares, counter: await counter() };
  await close();
  return found;
}
