/** How rows are measured; contenders/cpython.py does the same for CPython. `value` is what the row compares. */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import * as node from '../contenders/node.mjs';
import { contentionOf } from './contention.mjs';
import { pools } from './pools.mjs';
import { descriptorsOf, memoryOf, processesMarked, zombiesOf } from './proc.mjs';
import { sample, timed } from './sampling.mjs';
import { median, quantile } from './statistics.mjs';
import { storeRate } from './store.mjs';
import { rateOf } from './stream.mjs';

/** By the name that scenarios.mjs gives them. */
export const measures = {
  lifecycle,
  threads,
  inARow,
  aliveAtOnce,
  idleMemory,
  repeat,
  contention,
  fairness,
  pingPong,
  stream,
  bytesStream,
  storeSteps,
  storeTrip,
  soak,
  ...pools,
};

const MIB = 2 ** 20;
/** Of what takes nanoseconds, so many are timed as one: a look at the clock takes as long. */
const REPEATED = 5_000;

/** Starting and joining, one at a time, ms. */
async function lifecycle({ lifecycle: open }, options) {
  const times = await sample(open(options), { warmUp: 300, ms: options.ms, least: 10 });
  return { value: quantile(times, 0.5), p99: quantile(times, 0.99), n: times.length };
}

/** Starting and joining a thread, ms, `pause` ms after the one before: long enough for what is made ahead of need to be there. */
async function threads({ thread: open }, { pause, count, ...options }) {
  const once = open(options);
  for (let i = 0; i < 3; i++) await sleep(pause, await once());
  const times = [];
  for (let i = 0; i < count; i++) await sleep(pause, times.push(await timed(once)));
  return { value: quantile(times, 0.5), p99: quantile(times, 0.99), n: times.length };
}

/** Many in a row: the median of all, and what the last cost beside the first. */
async function inARow({ lifecycle: open }, options) {
  const once = open(options);
  for (let i = 0; i < 50; i++) await once();
  const times = [];
  for (let i = 0; i < options.count; i++) times.push(await timed(once));
  const first = median(times.slice(0, 100));
  const last = median(times.slice(-100));
  return { value: last / first, first, last };
}

/** Many alive at once: ms until all of them run, until all are gone, and what each weighs. */
async function aliveAtOnce({ startIdle }, { count }) {
  return withMarker(async marker => {
    const warmUp = startIdle(marker.file);
    await marker.reached(1);
    await warmUp.end();
    const from = performance.now();
    const children = Array.from({ length: count }, () => startIdle(marker.file));
    await marker.reached(count + 1);
    const up = performance.now() - from;
    const pss = median(children.slice(0, 20).map(child => memoryOf(child.pid).pss));
    const end = performance.now();
    await Promise.all(children.map(child => child.end()));
    return { value: up, gone: performance.now() - end, pss };
  });
}

/** A few idle ones at once, so that what they share is counted as shared, MiB each. */
async function idleMemory({ startIdle }, { count }) {
  return withMarker(async marker => {
    const children = Array.from({ length: count }, () => startIdle(marker.file));
    await marker.reached(count);
    await sleep(300); // until the kernel and V8 have settled
    const figures = children.map(child => memoryOf(child.pid));
    const family = processesMarked(`BENCH_RUN=${process.env.BENCH_RUN}`).filter(pid => pid !== process.pid);
    const whole = family.reduce((sum, pid) => sum + memoryOf(pid).pss, 0);
    await Promise.all(children.map(child => child.end()));
    const middle = name => median(figures.map(figure => figure[name]));
    return { value: middle('pss'), uss: middle('uss'), rss: middle('rss'), withServer: whole / count };
  });
}

/** The same step again and again, nobody else wanting what it takes, ns. */
async function repeat({ openLoop }, { ms, ...options }) {
  const loop = openLoop(options);
  const times = await sample(() => loop(REPEATED), { warmUp: ms, ms, least: 20 });
  const each = share => (quantile(times, share) * 1e6) / REPEATED;
  return { value: each(0.5), p99: each(0.99) };
}

/** Processes that take one lock and give it back as fast as they can, millions of pairs a second. */
async function contention(contender, options) {
  const { rate, least, longest } = await contentionOf(contender, { warmUp: options.ms / 2, ...options });
  return { value: rate / 1e3, least, longest };
}

/** Contenders that keep one lock for a moment, again and again: how long one of them had to wait, at worst, ms. */
async function fairness(contender, options) {
  const { rate, least, longest } = await contentionOf(contender, { warmUp: options.ms / 4, ...options });
  return { value: longest, rate, least };
}

/** Two that wake one another in turn, µs there and back. */
async function pingPong({ openPingPong }, { ms, ...options }) {
  return withMarker(async marker => {
    const { trip, close } = await openPingPong({ ...options, marker });
    const times = await sample(trip, { warmUp: ms, ms, least: 100 });
    await close();
    return { value: quantile(times, 0.5) * 1e3, p99: quantile(times, 0.99) * 1e3, n: times.length };
  });
}

/** Items put at one end of a channel and got at the other, thousands a second. */
async function stream(contender, options) {
  const { rate, behind } = await rateOf(contender, { warmUp: options.ms / 2, pairs: 1, ...options });
  return { value: rate, behind };
}

/** The same with items of many bytes, GB a second. */
async function bytesStream(contender, options) {
  const { value, behind } = await stream(contender, { item: 'bytes', ...options });
  return { value: (value * options.size) / 1e6, rate: value, behind };
}

/** Steps of processes that use one store of values by key, thousands a second. */
async function storeSteps(contender, options) {
  const { rate, least } = await storeRate(contender, { warmUp: options.ms, ...options });
  return { value: rate, ...(options.processes > 1 ? { least } : {}) };
}

/** The same as the time of one step, µs. */
async function storeTrip(contender, options) {
  const { value } = await storeSteps(contender, options);
  return { value: 1e3 / value };
}

/**
 * Started and joined one after the other, thousands of them, with a look at everything that may grow. Beside each part
 * of the run stands the floor, so that a machine that slows down does not pass for drift.
 */
async function soak({ lifecycle: open }, { count, every, ...options }) {
  const once = open(options);
  const floor = node.lifecycle({ program: '/bin/true' });
  for (let i = 0; i < 50; i++) await once();
  const samples = [];
  for (let done = 0; done < count; ) {
    const times = [];
    const floors = [];
    for (let i = 0; i < every; i++) {
      times.push(await timed(once));
      if (i % 20 === 0) floors.push(await timed(floor));
    }
    done += every;
    globalThis.gc?.();
    const family = processesMarked(`BENCH_RUN=${process.env.BENCH_RUN}`);
    const sum = of => family.reduce((total, pid) => total + of(pid), 0);
    samples.push({
      done,
      ms: median(times),
      p99: quantile(times, 0.99),
      floor: median(floors),
      processes: family.length,
      descriptors: sum(descriptorsOf),
      MiB: sum(pid => memoryOf(pid).written),
      heap: process.memoryUsage().heapUsed / MIB,
      zombies: zombiesOf(family).length,
    });
  }
  const first = samples[0];
  const last = samples.at(-1);
  return {
    value: last.ms / last.floor / (first.ms / first.floor),
    grown: last.MiB - first.MiB,
    opened: last.descriptors - first.descriptors,
    zombies: last.zombies,
    samples,
  };
}

/** A file that idle children make one byte longer each when they run. */
async function withMarker(use) {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-bench-'));
  const file = path.join(folder, 'running');
  const reached = async count => {
    while ((statSync(file, { throwIfNoEntry: false })?.size ?? 0) < count) await sleep(1);
  };
  try {
    return await use({ file, reached });
  } finally {
    rmSync(folder, { recursive: true });
  }
}
