import { parentPort, workerData } from 'node:worker_threads';
import type { Native } from '../../native/native.js';

/*
 * The schedule explorer's side in a thread: runs the real code one step at a time, a step being whatever touches shared
 * memory, as schedules.ts lets it. It stands between that code and Atomics, the words of the commons, and the kernel's
 * futexes and doorbells (the latter done again here in steps, after native/doorbell.c).
 */
export const CELL = { STATUS: 0, COMMAND: 1, WORD: 2, INDEX: 3, TID: 4, CONSUMED: 5 } as const;
export const CELL_WORDS = 8;
/** ASLEEP: until woken. LISTENING: the same on its event loop. DOZING, NAPPING: these two, or until its time runs out. */
export const STATUS = {
  IDLE: 0,
  READY: 1,
  ASLEEP: 2,
  DOZING: 3,
  LISTENING: 4,
  RUNNING: 5,
  NAPPING: 6,
} as const;
export const COMMAND = { NONE: 0, GO: 1, DIE: 2, TIME_OUT: 3 } as const;

/** What a thread is to do in one run. */
export interface Role {
  readonly kind: 'blocking' | 'async' | 'impatient' | 'again' | 'waker' | 'setter' | 'scripted';
  readonly word: number;
  /** For the kind 'scripted': a module that exports a Script as `script`. Plain reads of the commons are steps then, too. */
  readonly module?: string;
  /** Steps before a setter sets. */
  readonly delay?: number;
}

/** What a scripted thread does. The module is loaded after all has been made ready for steps. */
export type Script = (role: never, stage: Stage) => Promise<void>;

/** What a script finds. */
export interface Stage {
  /** What is told of this thread at the end, also if it dies. */
  readonly report: Record<string, unknown>;
  /** Awaits `wait` on the event loop of this thread. `timeOut` is called if the explorer says so. */
  onEventLoop<T>(wait: Promise<T>, timeOut?: () => void): Promise<T>;
  /** Lets others go on. */
  pause(): void;
}

/** How long the impatient wait, on a clock that only moves when the explorer says that their time has run out. */
export const PATIENCE = 1000;

class Death extends Error {}

if (parentPort) run(workerData.board, workerData.number);

function run(board: Int32Array, number: number): void {
  const real = { ...pick(Atomics) };
  const at = number * CELL_WORDS;
  let stepping = false;
  let dead = false;
  let clock = 0;
  let readsAreSteps = false;

  /** Lets the explorer choose who goes on; returns when, and how, this thread does. */
  function pause(status: number, word = 0): number {
    if (dead) throw new Death();
    board[at + CELL.WORD] = word;
    real.store(board, at + CELL.COMMAND, COMMAND.NONE);
    real.store(board, at + CELL.STATUS, status);
    real.notify(board, at + CELL.STATUS);
    while (real.load(board, at + CELL.COMMAND) === COMMAND.NONE)
      real.wait(board, at + CELL.COMMAND, COMMAND.NONE);
    const command = board[at + CELL.COMMAND];
    if (command === COMMAND.DIE) {
      dead = true;
      throw new Death();
    }
    if (command === COMMAND.TIME_OUT) clock += 2 * PATIENCE;
    return command;
  }
  function step(): void {
    if (stepping) pause(STATUS.READY);
  }

  performance.now = () => clock;
  require('node:os').availableParallelism = () => 1; // no spinning
  const door = require('../../native/native.js') as { native: Native };
  const native = door.native;
  const commons = require('../../memory/commons.js') as { words: Int32Array; attach(): void };
  commons.attach();
  const shared = commons.words;
  commons.words = new Proxy(shared, {
    get(target, key) {
      if (readsAreSteps && typeof key === 'string' && key >= '0' && key <= ':') step();
      const value = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set(target, key, value) {
      step();
      return Reflect.set(target, key, value);
    },
  });
  for (const name of ['load', 'store', 'add', 'sub', 'or', 'and', 'exchange', 'compareExchange'] as const) {
    const original = real[name] as (...args: unknown[]) => number;
    Object.assign(Atomics, {
      [name](array: Int32Array, ...args: number[]) {
        if (array === commons.words) {
          step();
          return original(shared, ...args);
        }
        if (array.buffer === shared.buffer) step(); // a part of it
        return original(array, ...args);
      },
    });
  }
  const { PARTICIPANT, PARTICIPANT_STATE } =
    require('../../memory/layout.js') as typeof import('../../memory/layout.js');
  const participants =
    require('../../memory/participants.js') as typeof import('../../memory/participants.js');
  const { freeNode, takeNode } = require('../nodes.js') as typeof import('../nodes.js');
  const { depart } = require('../depart.js') as typeof import('../depart.js');
  const { forgetDoorbell } = require('../doorbell.js') as typeof import('../doorbell.js');
  const { forgetWaits, park, parkSync } = require('../park.js') as typeof import('../park.js');
  const line = require('../line.js') as { take(node: number): number } & typeof import('../line.js');
  const { take, wake, wakeAll } = line;
  line.take = node => {
    const token = take(node);
    board[at + CELL.CONSUMED] = 1;
    return token;
  };

  // The allocator is one step, so that a run does not depend on what was allocated before it; it has tests of its own.
  const allocator = require('../../memory/allocator.js') as Record<string, (...args: unknown[]) => unknown>;
  for (const name of ['allocate', 'free', 'freeAllOf']) {
    const original = allocator[name];
    allocator[name] = (...args) => {
      step();
      const before = stepping;
      stepping = false;
      try {
        return original(...args);
      } finally {
        stepping = before;
      }
    };
  }

  let dispatch = () => {};
  door.native = {
    ...native,
    bellOpen(_: number, listener: () => void) {
      dispatch = listener;
    },
    bellHold() {},
    futexWait(word: number, expected: number, timeout: number) {
      step();
      if (shared[word] !== expected) return 1;
      const status = timeout < 0 ? STATUS.ASLEEP : STATUS.DOZING;
      return pause(status, word) === COMMAND.TIME_OUT ? 2 : 0;
    },
    futexWake(word: number) {
      step();
      wakeSleepers(word);
      return 1;
    },
    ring(index: number, reasons: number) {
      const record = participants.record(index);
      if (Atomics.load(commons.words, record + PARTICIPANT.STATE) !== PARTICIPANT_STATE.LIVE) return -1;
      Atomics.or(commons.words, record + PARTICIPANT.REASONS, reasons);
      Atomics.add(commons.words, record + PARTICIPANT.SIGNAL, 1);
      if (Atomics.load(commons.words, record + PARTICIPANT.SLEEPING) !== 0)
        wakeSleepers(record + PARTICIPANT.SIGNAL);
      wakeListener(board, index);
      return 0;
    },
    processStat(tid: number) {
      for (let cell = 0; cell < board.length; cell += CELL_WORDS)
        if (board[cell + CELL.TID] === -tid) return undefined; // the explorer has let it die
      return native.processStat(tid);
    },
  };
  function wakeSleepers(word: number): void {
    wakeAsleep(board, word);
  }

  process.on('uncaughtException', error => {
    if (!(error instanceof Death)) throw error; // it died in a microtask
  });
  parentPort?.on('message', async (role: Role) => {
    dead = false;
    participants.self();
    board[at + CELL.INDEX] = participants.indexOf(participants.self());
    board[at + CELL.TID] = native.threadId();
    let result = 'died';
    const report: Record<string, unknown> = {};
    try {
      freeNode(takeNode()); // long and dull
      stepping = true;
      pause(STATUS.READY);
      readsAreSteps = role.kind === 'scripted';
      const played = String(await play(role, report));
      depart({ last: false });
      result = played;
    } catch (error) {
      if (!(error instanceof Death) && !dead) result = `failed: ${(error as Error).stack}`;
    }
    stepping = false;
    readsAreSteps = false;
    if (role.kind === 'scripted' && !result.startsWith('failed'))
      result = JSON.stringify({ ...report, died: result === 'died' });
    dead = false;
    forgetWaits();
    forgetDoorbell();
    participants.forget();
    parentPort?.postMessage(result);
    real.store(board, at + CELL.STATUS, STATUS.IDLE);
    real.notify(board, at + CELL.STATUS);
  });

  async function play(role: Role, report: Record<string, unknown>): Promise<unknown> {
    const { kind, word, delay = 0 } = role;
    if (kind === 'scripted') {
      const { script } = require(role.module as string) as { script: Script };
      return script(role as never, { report, onEventLoop, pause: () => void pause(STATUS.READY) });
    }
    if (kind === 'setter') {
      for (let i = 0; i < delay; i++) pause(STATUS.READY); // or nobody would wait yet
      Atomics.store(commons.words, word, 1);
      return wakeAll(word);
    }
    if (kind === 'waker') {
      for (let tries = 0; tries < 1000; tries++) {
        if (wake(word) === 1) return 'woke';
        pause(STATUS.READY);
      }
      return 'found nobody'; // as they died
    }
    if (kind === 'again') for (let i = 0; i < 3; i++) blocking(kind, word);
    for (;;) {
      const outcome = kind === 'async' ? (await onEventLoop(park(word, 0))).outcome : blocking(kind, word);
      if (outcome === 'timeout') continue;
      return outcome;
    }
  }

  function blocking(kind: Role['kind'], word: number): string {
    return parkSync(word, 0, kind === 'impatient' ? { timeout: PATIENCE } : {}).outcome;
  }

  /** The event loop of a thread that waits for nothing but its doorbell. */
  async function onEventLoop<T>(wait: Promise<T>, timeOut?: () => void): Promise<T> {
    let over = false;
    const end = () => {
      over = true;
    };
    wait.then(end, end);
    const turns = readsAreSteps ? 8 : 2; // as many as the code that it runs needs to go on after its last await
    for (;;) {
      for (let i = 0; i < turns; i++) await null;
      if (over) return wait;
      if (dead) throw new Death(); // in a microtask
      const reasons = participants.record(participants.indexOf(participants.self())) + PARTICIPANT.REASONS;
      if (shared[reasons] === 0 && pause(timeOut ? STATUS.NAPPING : STATUS.LISTENING) === COMMAND.TIME_OUT)
        timeOut?.();
      dispatch();
    }
  }
}

/** Marks all who sleep on `word` as able to go on. */
export function wakeAsleep(board: Int32Array, word: number): void {
  for (let cell = 0; cell < board.length; cell += CELL_WORDS) {
    const asleep = board[cell] === STATUS.ASLEEP || board[cell] === STATUS.DOZING;
    if (asleep && board[cell + CELL.WORD] === word) board[cell] = STATUS.READY;
  }
}

/** The same for the event loop of participant `index`. */
export function wakeListener(board: Int32Array, index: number): void {
  for (let cell = 0; cell < board.length; cell += CELL_WORDS)
    if (
      (board[cell] === STATUS.LISTENING || board[cell] === STATUS.NAPPING) &&
      board[cell + CELL.INDEX] === index
    )
      board[cell] = STATUS.READY;
}

function pick({ load, store, add, sub, or, and, exchange, compareExchange, wait, notify }: typeof Atomics) {
  return { load, store, add, sub, or, and, exchange, compareExchange, wait, notify };
}
