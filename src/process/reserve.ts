import { AsyncResource } from 'node:async_hooks';
import { isMainThread, type Worker } from 'node:worker_threads';
import { cpuCount } from '../platform/platform.js';
import { asksForOneThread } from '../platform/single-threaded.js';
import { type Cradle, makeCradle, mayExist } from './cradle.js';
import { WORD } from './thread-words.js';

/*
 * Workers booted ahead of need: a thread that is born in one begins at once, where a new Worker needs some tens of milliseconds
 * to load Node and this library. There are none until the program has started a thread, and then as many as it started at
 * once of late: they boot one after the other, when those threads have begun. One that a thread has lived in is never used again.
 */

interface Idle extends Cradle {
  /** This process's environment when it was booted, of which it has a copy. */
  readonly env: Environment;
}
type Environment = Record<string, string | undefined>;

/** How long after a start, ms: what the starts since then were is "at once". Then how often to look whether the next can boot. */
const PAUSE = 20;
/** Without a start for so long, ms, all but one are let go. */
const PATIENCE = 10_000;
/** How long releaseReserve() waits for Workers to be gone, ms. V8 stops JavaScript at once, but not what loads a native module. */
const GRACE = 1_000;
const LOOK = 0.2;

/** Settled when a Worker boots: what is changed later comes too late for it. */
const SETTLED_AT_BOOT = /^(NODE_.*|TZ)$/;

const idle: Idle[] = [];
/** Those that threads live in. */
const used = new Set<Cradle>();
/** Those that are on their way out: let go, or left by a thread that has ended. */
const leaving = new Set<Cradle>();
let wanted = 0;
let startsOfLate = 0;
let refilling: NodeJS.Timeout | undefined;
let patience: NodeJS.Timeout | undefined;
/** A Worker of the reserve has ended of itself: what the program has every Worker do, by --require for one, does not suit. */
let isUnfit = false;

/** Workers belong to no async context of the program. */
const nowhere = new AsyncResource('manyhands.reserve');

/**
 * A Worker for a thread to be born in: one of the reserve, the first to have booted, or undefined. `env`: what of this process's
 * environment has changed since that one took its copy.
 */
export function takeCradle(): { cradle: Cradle; env: Environment | undefined } | undefined {
  while (idle.length > 0) {
    const [cradle] = idle;
    const env = changesSince(cradle.env);
    if (env !== null) {
      idle.shift();
      return { cradle, env };
    }
    letGo(0);
  }
  return undefined;
}

/** A thread has been started in this one: the reserve is filled up in a while, if it was one that could come from there. */
export function noteStart(cradle: Cradle, { counts }: { counts: boolean }): void {
  used.add(cradle);
  if (!counts) return;
  startsOfLate++;
  if (refilling === undefined && keepsReserve()) nowhere.runInAsyncScope(refillSoon);
}

/** The thread in this one has ended; its Worker is still to go. */
export function noteEnd(cradle: Cradle): void {
  if (used.delete(cradle)) leaving.add(cradle);
}

/** Its Worker has. */
export function noteGone(cradle: Cradle): void {
  used.delete(cradle);
  leaving.delete(cradle);
}

/**
 * Only the main thread keeps one: threads that start threads are few, and would each have to end theirs. None where the program may
 * fork itself, which it can only without other threads.
 */
function keepsReserve(): boolean {
  return isMainThread && !isUnfit && !asksForOneThread(process.execArgv);
}

function refillSoon(): void {
  refilling = setTimeout(refill, PAUSE).unref();
}

function refill(): void {
  refilling = undefined;
  wanted = Math.min(Math.max(wanted, startsOfLate), cpuCount());
  startsOfLate = 0;
  if (patience === undefined) patience = setTimeout(shrink, PATIENCE).unref();
  else patience.refresh();
  if (idle.length >= wanted || !keepsReserve()) return;
  if (!isAnyBooting()) boot();
  refillSoon();
}

/** Is a Worker on its way? Another would slow it down. */
function isAnyBooting(): boolean {
  for (const { words } of used) if (Atomics.load(words, WORD.TAG) === 0) return true;
  return idle.some(({ words }) => Atomics.load(words, WORD.READY) === 0);
}

function boot(): void {
  let cradle: Idle;
  try {
    cradle = { ...makeCradle(), env: { ...process.env } };
  } catch {
    isUnfit = true; // the system gives no more threads: those that the program asks for come first
    return;
  }
  idle.push(cradle);
  cradle.worker.on('error', () => {}); // 'exit' follows
  cradle.worker.once('exit', () => {
    const at = idle.indexOf(cradle);
    if (at < 0) return;
    idle.splice(at, 1);
    cradle.port.close();
    isUnfit = true;
  });
}

function shrink(): void {
  patience = undefined;
  wanted = Math.min(wanted, 1);
  while (idle.length > wanted) letGo(idle.length - 1);
}

function letGo(index: number): void {
  const [cradle] = idle.splice(index, 1);
  leaving.add(cradle);
  cradle.worker.once('exit', () => noteGone(cradle));
  cradle.port.close();
  void cradle.worker.terminate();
}

/** What has changed, undefined for what is there no more; undefined: nothing; null: what a running Worker cannot follow. */
function changesSince(then: Environment): Environment | undefined | null {
  const now = process.env;
  let changes: Environment | undefined;
  const note = (name: string, value: string | undefined) => {
    changes ??= {};
    changes[name] = value;
  };
  const names = Object.keys(now);
  for (const name of names) {
    const value = now[name];
    if (then[name] !== value) note(name, value);
  }
  if (changes || names.length !== Object.keys(then).length)
    for (const name of Object.keys(then)) if (now[name] === undefined) note(name, undefined);
  if (changes && Object.keys(changes).some(name => SETTLED_AT_BOOT.test(name))) return null;
  return changes;
}

/** How many Workers wait for a thread; `ready`: only those that have booted. */
export function reserveSize({ ready = false } = {}): number {
  return ready ? idle.filter(({ words }) => Atomics.load(words, WORD.READY) !== 0).length : idle.length;
}

/** Is this the Worker of a thread that has ended, and known to the kernel no more? Its 'exit' is yet to be told. */
export function hasLeft(worker: Worker): boolean {
  for (const cradle of leaving) if (cradle.worker === worker) return !mayExist(cradle);
  return false;
}

/**
 * Ends the Workers of the reserve, and waits, blocking this thread, until the kernel knows them no more; nor those of threads that
 * have ended. For fork(), which is safe only in a process without other threads. True: all are gone; false: some were not
 * within a second. The next start of a thread begins a new reserve.
 */
export function releaseReserve(): boolean {
  clearTimeout(refilling);
  clearTimeout(patience);
  refilling = undefined;
  patience = undefined;
  wanted = 0;
  startsOfLate = 0;
  while (idle.length > 0) letGo(idle.length - 1);
  const deadline = performance.now() + GRACE;
  const nothing = new Int32Array(new SharedArrayBuffer(4));
  for (const cradle of leaving) {
    while (mayExist(cradle)) {
      if (performance.now() >= deadline) return false;
      Atomics.wait(nothing, 0, 0, LOOK);
    }
  }
  return true;
}
