/**
 * How the rows about pools are measured; contenders/cpython_pools.py does the same for CPython. A pool here is what a
 * contender's openPool() gives: `run(task, value)` for one task of workers/tasks.mjs, `close()`, and what else it can do:
 * `map(items)`, `move(bytes)`, `shared(size)`, `multiplier(factor)`. `value` is what a row compares.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { cpuOf, processesMarked } from './proc.mjs';
import { runFor, sample, timesOf } from './sampling.mjs';
import { quantile } from './statistics.mjs';

/** By the name that scenarios.mjs gives them. */
export const pools = { roundTrip, throughput, items, map, megabyte, moved, sharedMegabyte, coldStart };

const MIB = 2 ** 20;
const STOP_WITHIN = 1_000;
/** Where much is under way it warms up so many times as long as it measures: new threads have all their code to compile. */
const WARM_UP = 2;
const FACTOR = 3;
/** Before a row of many items at once: calls of so many, until all code that they take is compiled. */
const FEW = 1_000;

/** A contender that does not have what the row is about. */
export class NotOffered extends Error {}

/** One task at a time, µs. */
async function roundTrip({ openPool }, { ms, ...options }) {
  return withPool(openPool, { inFlight: 1, ...options }, async pool => {
    let x = 0;
    const once = async () => check((await pool.run('increment', x)) === ++x);
    await runFor(once, ms);
    const cpu = watchCpu();
    const times = await timesOf(once, { ms, least: 100 });
    return {
      value: quantile(times, 0.5) * 1e3,
      p99: quantile(times, 0.99) * 1e3,
      'cpu all': cpu().all / times.length,
      n: times.length,
    };
  });
}

/** As many tasks as possible, `inFlight` of them under way, one task a call, thousands a second. */
async function throughput({ openPool }, { ms, task = 'increment', ...options }) {
  return withPool(openPool, options, async pool => {
    const { ask, isRight } = tasks[task](pool, options);
    let done = 0;
    let over = false;
    const flow = async x => {
      while (!over) {
        check(isRight(x, await ask(x)));
        done++;
      }
    };
    const flows = Array.from({ length: options.inFlight }, (_, x) => flow(x));
    const failed = Promise.all(flows);
    await Promise.race([sleep(WARM_UP * ms), failed]);
    const cpu = watchCpu(options.kind);
    const before = done;
    const from = performance.now();
    await Promise.race([sleep(ms), failed]);
    const elapsed = performance.now() - from;
    const count = done - before;
    const { caller, all } = cpu();
    over = true;
    await failed;
    return { value: count / elapsed, cpu: caller / count, 'cpu all': all / count };
  });
}

/** What goes through a pool, and how its answer is known to be right. */
const tasks = {
  increment: pool => ({ ask: x => pool.run('increment', x), isRight: (x, answer) => answer === x + 1 }),
  object(pool, { size }) {
    const model = order(size);
    return {
      ask: id => pool.run('echo', { ...model, id }),
      isRight: (id, answer) =>
        answer.id === id && answer.name === model.name && answer.lines?.length === model.lines?.length,
    };
  },
  closure: (pool, options) => ({
    ask: pool.multiplier(FACTOR, options),
    isRight: (x, answer) => answer === x * FACTOR,
  }),
};

/** An object of about so many bytes, were it JSON. */
function order(size) {
  const head = { id: 1_000, name: 'a small order', total: 12.5, paid: false };
  const line = number => ({ article: `A-${number}`, title: 'a thing to be ordered', price: 9.75, count: 3 });
  const lines = [];
  const bytes = () => JSON.stringify({ ...head, lines }).length;
  while (bytes() < size) lines.push(line(100 + lines.length));
  return size <= 64 ? head : { ...head, lines };
}

/** All items given at once, one task a call, until all answers are there: thousands of items a second. */
async function items({ openPool }, { ms, items: count, ...options }) {
  return withPool(openPool, { inFlight: 1_024, ...options }, async pool => {
    const numbers = Array.from({ length: count }, (_, i) => i);
    const give = async numbers => {
      const answers = await Promise.all(numbers.map(x => pool.run('increment', x)));
      check(answers.length === numbers.length && answers.every((answer, x) => answer === x + 1));
    };
    await runFor(() => give(numbers.slice(0, FEW)), WARM_UP * ms);
    const cpu = watchCpu();
    const times = await timesOf(() => give(numbers), { ms, least: 1 });
    return { value: count / quantile(times, 0.5), 'cpu all': cpu().all / (count * times.length) };
  });
}

/** A whole map of trivial items, millions of items a second. */
async function map({ openPool }, { ms, items: count, ...options }) {
  return withPool(openPool, { inFlight: 1, ...options }, async pool => {
    const numbers = Array.from({ length: count }, (_, i) => i);
    const once = async () => {
      const answers = await pool.map(numbers);
      check(answers.length === count && answers[0] === 1 && answers[count - 1] === count);
    };
    const times = await sample(once, { warmUp: ms, ms, least: 3 });
    return { value: count / quantile(times, 0.5) / 1e3, worst: count / quantile(times, 1) / 1e3 };
  });
}

/** One MiB of bytes there and back, one at a time, ms. */
async function megabyte({ openPool }, { ms, ...options }) {
  return withPool(openPool, { inFlight: 1, binary: true, ...options }, async pool => {
    const bytes = pattern();
    const once = async () => checkPattern(await pool.run('echo', bytes));
    const times = await sample(once, { warmUp: ms, ms, least: 20 });
    return { value: quantile(times, 0.5), p99: quantile(times, 0.99) };
  });
}

/** The same for a caller who gives the bytes away, and goes on with those that come back. */
async function moved({ openPool }, { ms, copied = false, ...options }) {
  return withPool(openPool, { inFlight: 1, binary: true, ...options }, async pool => {
    let bytes = pattern();
    const once = async () => {
      const given = bytes;
      bytes = await (copied ? pool.run('echo', given) : pool.move(given));
      checkPattern(bytes);
      if (!copied && given.byteLength > 0)
        throw new NotOffered('does not move: the caller still has the bytes');
    };
    const times = await sample(once, { warmUp: ms, ms, least: 20 });
    return { value: quantile(times, 0.5), p99: quantile(times, 0.99) };
  });
}

/** One MiB in shared memory as an argument; the worker changes a byte of it. µs. */
async function sharedMegabyte({ openPool }, { ms, ...options }) {
  return withPool(openPool, { inFlight: 1, ...options }, async pool => {
    const array = pool.shared?.(MIB) ?? new Uint8Array(new SharedArrayBuffer(MIB));
    const bytes = array.view ?? array;
    const once = async () => {
      const is = (bytes[MIB - 1] + 1) % 256;
      check((await pool.run('touch', array)) === is && bytes[MIB - 1] === is);
    };
    const times = await sample(once, { warmUp: ms, ms, least: 100 });
    return { value: quantile(times, 0.5) * 1e3, p99: quantile(times, 0.99) * 1e3 };
  });
}

/** From a new pool to its first result, ms: in a program that has had no pool before, and once more after that one. */
async function coldStart({ openPool }, { closure = false, ...options }) {
  const start = () => {
    const from = performance.now();
    return withPool(openPool, { inFlight: 1, cold: true, ...options }, async pool => {
      if (closure) check((await pool.multiplier(FACTOR, options)(1)) === FACTOR);
      else check((await pool.run('increment', 1)) === 2);
      return performance.now() - from;
    });
  };
  return { value: await start(), second: await start() };
}

function pattern() {
  return new Uint8Array(MIB).map((_, i) => i);
}

function checkPattern(bytes) {
  check(bytes.length === MIB && bytes[0] === 0 && bytes[MIB - 1] === 255);
}

function check(isRight) {
  if (!isRight) throw new Error('a wrong result');
}

/**
 * Begins to count CPU time; calling what it returns tells the µs since then: `all` of every process of this run that was
 * there at the beginning, `caller` of this process, or of its main thread where the workers are threads.
 */
function watchCpu(kind = 'process') {
  const family = new Set([process.pid, ...processesMarked(`BENCH_RUN=${process.env.BENCH_RUN}`)]);
  const own = kind === 'thread' ? `self/task/${process.pid}` : 'self';
  const now = () => ({
    caller: cpuOf(own),
    all: [...family].reduce((sum, pid) => sum + cpuOf(pid), 0),
  });
  const before = now();
  return () => {
    const { caller, all } = now();
    return { caller: caller - before.caller, all: all - before.all };
  };
}

async function withPool(open, options, use) {
  const pool = await open(options);
  try {
    return await use(pool);
  } finally {
    await Promise.race([pool.close(), sleep(STOP_WITHIN)]);
  }
}
