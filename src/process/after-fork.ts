import { randomInt, randomUUID } from 'node:crypto';
import { forget } from '../memory/participants.js';
import { native } from '../native/native.js';
import { forgetNamed } from '../sync/named.js';
import { forgetDeaths } from '../wait/deaths.js';
import { forgetDoorbell, renewDoorbell } from '../wait/doorbell.js';
import { dropWaits, forgetWaits } from '../wait/park.js';
import { disownChildren, rememberedChildren } from './children.js';
import { forgetOutputs, printError } from './printing.js';
import { leaveServer } from './server.js';
import { disownSubprocesses, turnAwayFrom } from './subprocesses.js';

/*
 * What a fork copied and must not have: the identity of the parent, its randomness, and Node's ways to end, which
 * all wait for threads that do not exist in the child.
 */

/** In a forked child, first of all. `preloaded`: user code ran in the server before. */
export function becomeChild({ preloaded }: { preloaded: boolean }): void {
  forget();
  forgetWaits();
  forgetNamed();
  forgetDeaths();
  forgetDoorbell();
  forgetOutputs();
  beAnother(preloaded);
}

function beAnother(preloaded: boolean): void {
  // The kernel's answer: process.pid keeps the parent's.
  Object.defineProperty(process, 'pid', {
    value: native.processId(),
    configurable: true,
    enumerable: true,
  });
  reseed(preloaded);
  mendExit();
}

/** In a child that its parent forked from itself, in the midst of its life. */
export function becomeForked(parent: number): void {
  dropWaits();
  forgetNamed();
  forget();
  beAnother(true);
  renewDoorbell();
  leaveServer();
  for (const { stdout, stderr } of rememberedChildren())
    for (const stream of [stdout, stderr]) turnAwayFrom(stream);
  disownChildren();
  disownSubprocesses();
  Object.defineProperty(process, 'ppid', {
    get: () => native.processStat(process.pid)?.[1] ?? parent,
    configurable: true,
    enumerable: true,
  });
}

/** How many random values Node keeps ready: randomUUID() 128, randomInt() 1,024. */
const UUIDS_KEPT = 128;
const INTS_KEPT = 1024;

function reseed(used: boolean): void {
  Math.random = randomGenerator();
  if (used) renewStores(); // else nobody has filled them yet
}

function renewStores(): void {
  for (let i = 0; i < UUIDS_KEPT; i++) randomUUID();
  for (let i = 0; i < INTS_KEPT; i++) randomInt(2);
}

let rehearsed = false;
/** Often enough for V8 to optimise what is called so often: it would do so in each child, on its one thread. */
const TIMES = 8;

/** Before a fork: does once what each child would else have to compile anew. That takes 5 ms of CPU time at first, then 0.6. */
export function rehearseFork(): void {
  if (rehearsed) return;
  rehearsed = true;
  for (let i = 0; i < TIMES; i++) renewStores();
  randomGenerator()();
}

/**
 * A Math.random of this process's own: V8's cannot be seeded again. xorshift128+ as V8's, in 32-bit halves
 * (S. Vigna, "Further scramblings of Marsaglia's xorshift generators").
 */
export function randomGenerator(): () => number {
  const [a, b] = [native.randomBits(), native.randomBits()];
  let [aHigh, aLow, bHigh, bLow] = [(a / 2 ** 20) | 0, a | 0, (b / 2 ** 20) | 0, b | 1]; // never all zero
  return function random() {
    let high = aHigh ^ ((aHigh << 23) | (aLow >>> 9));
    let low = aLow ^ (aLow << 23);
    aHigh = bHigh;
    aLow = bLow;
    const highMixed = high ^ (high >>> 17);
    const lowMixed = low ^ ((low >>> 17) | (high << 15));
    high = highMixed ^ bHigh ^ (bHigh >>> 26);
    low = lowMixed ^ bLow ^ ((bLow >>> 26) | (bHigh << 6));
    bHigh = high;
    bLow = low;
    const sumLow = (aLow >>> 0) + (bLow >>> 0);
    const sumHigh = (aHigh + bHigh + (sumLow > 0xffffffff ? 1 : 0)) >>> 0;
    return (sumHigh * 2 ** 21 + ((sumLow >>> 0) >>> 11)) / 2 ** 53;
  };
}

/** What Node calls at its ends; it takes codes as strings, too. */
interface NodeEnds {
  reallyExit(code: unknown): never;
  /** True: somebody has handled the error. */
  _fatalException(error: unknown, fromPromise: boolean): boolean;
}

/** As Node's exit codes: an error that nobody handled, and one thrown over its handling. */
const UNHANDLED = 1;
const FAILED_HANDLER = 7;

/**
 * At its natural end Node would wait for V8's worker threads, and process.exit() would join them, as would the end after
 * an error: here all end in a plain _exit(), after 'beforeExit' and 'exit' as ever.
 */
function mendExit(): void {
  const node = process as unknown as NodeEnds;
  const { _fatalException } = node;
  node.reallyExit = code => native.exit(Number(code));
  node._fatalException = (error, fromPromise) => {
    try {
      if (_fatalException(error, fromPromise)) return true;
    } catch (another) {
      printError(another);
      native.exit(FAILED_HANDLER);
    }
    printError(error); // the program has taken away who would have handled it
    native.exit(UNHANDLED);
  };
  native.onLoopEnd(final => {
    if (final) process.exit();
    else process.emit('beforeExit', Number(process.exitCode ?? 0));
  });
}
