import type { ChildProcess } from 'node:child_process';
import path from 'node:path';
import { isMainThread } from 'node:worker_threads';
import { entryModule } from '../codec/functions/modules.js';
import { LifecycleError } from '../errors/errors.js';
import { words } from '../memory/commons.js';
import { HEADER, PROCESS, PROCESS_STATE } from '../memory/layout.js';
import { self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { startOfRunning } from '../native/running.js';
import { SINGLE_THREADED } from '../platform/single-threaded.js';
import { startFolder, startNode, UNWANTED_BY_SERVER, withoutNodeOptions, withoutOptions } from './command.js';
import { move, read, requestAgain, stateIn, wordOf } from './records.js';
import { moduleUrl } from './target.js';

/** What the fork server's main script is told. Descriptors are numbers in that process. */
export interface ServerOptions {
  readonly arena: number;
  readonly bytes: number;
  readonly requests: number;
  readonly client: number;
  readonly lifeline: number;
  readonly root: number;
  readonly warm: readonly string[];
  readonly preload: readonly string[];
  readonly argv: readonly string[];
  readonly execArgv: readonly string[];
  readonly nodeOptions: string | undefined;
  readonly entry: string | undefined;
  readonly folder: string;
}

/** The environment and folder that children are born with. */
export interface Birthplace {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/**
 * The guardian that this process started, if it was this one. Until it is spawned again its children's births and deaths
 * are in good hands; see native/forkserver.c.
 */
let guardian: ChildProcess | undefined;
let birthplace: Birthplace | undefined;
/** How many servers had come to serve before this process made its own. */
let birthsBefore = 0;
/** A pipe that hangs up when this process ends, and not before: read and write end. All servers that it makes watch it. */
let lifeline: [number, number] | undefined;
let preload: readonly string[] = [];

/**
 * Modules that the fork server imports once, so that children are born with them. Takes effect if called before the
 * first process starts: URLs, paths from the working directory, names of packages as the program's entry module would
 * import them. Where one fails to load, the server says so on stderr, and children go without it.
 *
 * Python: `set_forkserver_preload`, which says nothing of failures.
 * @throws {TypeError} There is no such package, or something else than these was given.
 * @throws {LifecycleError} The fork server runs already.
 */
export function setForkserverPreload(modules: readonly (string | URL)[]): void {
  if (
    !Array.isArray(modules) ||
    !modules.every(module => typeof module === 'string' || module instanceof URL)
  )
    throw new TypeError('Cannot preload that: give an array of paths, URLs or names of packages');
  if (native.client() >= 0)
    throw new LifecycleError(
      'Cannot preload modules as the fork server runs already: call setForkserverPreload() before the first start()',
    );
  preload = modules.map(moduleUrl);
}

const warm: string[] = [];

/** Has the fork server load this file of the library's, so that children need not. */
export function bornWith(file: string): void {
  warm.push(file);
}

/** Where forked children start from; undefined in a process that has its fork server from its parent. */
export function currentBirthplace(): Birthplace | undefined {
  return birthplace;
}

/** In a child: what it was born with is what its own children are compared with. */
export function inheritBirthplace(place: Birthplace): void {
  birthplace = place;
}

/** Has process `pid` ended, or is it about to? */
export function isGone(pid: number): boolean {
  return startOfRunning(pid) === undefined;
}

/** Is the guardian that this process started gone, or are that and the server which this process was born with? Then requests are heard by nobody. */
function isDeaf(): boolean {
  return (guardian?.pid !== undefined && isGone(guardian.pid)) || native.isHungUp(native.client()) !== 0;
}

/** Has the pair that this process started yet to serve, and is it not suspended? */
function isBooting(): boolean {
  return (
    guardian?.pid !== undefined &&
    Atomics.load(words, HEADER.SERVER_BIRTHS) === birthsBefore &&
    native.processStat(guardian.pid)?.[0] !== 'T'
  );
}

const bereaved: (() => void)[] = [];

/** Calls `listener` when a guardian that this process started has ended. */
export function onGuardianExit(listener: () => void): void {
  bereaved.push(listener);
}

/** Did this process start the fork server, so that its stdout and stderr are the server's too? */
export function isServerOwn(): boolean {
  return guardian !== undefined || native.client() < 0;
}

/** How long to trust in a start before looking whether its server lives, ms. */
const PATIENCE = 50;
/** States of a process that does not exist yet. */
const HAVE_RUN: readonly number[] = [PROCESS_STATE.RUNNING, PROCESS_STATE.ENDING, PROCESS_STATE.EXITED];
const WAITED_FOR = [PROCESS_STATE.REQUESTED, PROCESS_STATE.FORKING];
/** How many servers in a row may end before they serve, until a start counts as failed. */
const MOST_STILLBORN = 10;
/**
 * How long a server may take to boot before a start counts as failed, ms. One that has served before, and does not answer, is
 * suspended, or its machine is busy: it is waited for.
 */
const LONGEST_START = 30_000;

/**
 * Has the fork server start process record `index`; returns when the process exists. `fds`: its stdout and stderr.
 * A server that dies meanwhile is replaced, and the request is made again; it is carried out once.
 */
export function startForked(index: number, fds: readonly [number, number] | undefined): void {
  const state = wordOf(index, PROCESS.STATE);
  let deadline = performance.now() + LONGEST_START;
  let births = Atomics.load(words, HEADER.SERVER_BIRTHS);
  let stillborn = 0;
  let asked = ask(index, fds);
  for (;;) {
    const word = Atomics.load(words, state);
    const seen = stateIn(word);
    if (HAVE_RUN.includes(seen)) return;
    if (seen === PROCESS_STATE.FAILED) {
      const errno = read(index, PROCESS.STATUS);
      throw new LifecycleError(
        `Cannot start a process as fork() failed with errno ${errno}: end some processes, or raise the limits (ulimit -u)`,
      );
    }
    if (native.futexWait(state, word, PATIENCE) !== 2) continue;
    const lost = Atomics.load(words, HEADER.SERVER_EPOCH) !== asked.epoch || isDeaf();
    const replaced = Atomics.load(words, HEADER.SERVER_PAIRS) !== asked.pairs;
    if (lost || replaced) requestAgain(index);
    if (lost) {
      const now = Atomics.load(words, HEADER.SERVER_BIRTHS);
      stillborn = now === births ? stillborn + 1 : 0;
      births = now;
      deadline = performance.now() + LONGEST_START;
    }
    const isGivenUp = stillborn === MOST_STILLBORN || (performance.now() > deadline && isBooting());
    if (isGivenUp && WAITED_FOR.some(expected => move(index, expected, PROCESS_STATE.CANCELLED)))
      throw new LifecycleError(
        'Cannot start a process as the fork server does not come up: see what it printed to stderr, or use setStartMethod("spawn")',
      );
    if (lost || replaced) asked = ask(index, fds);
  }
}

/** Which server a request went to. */
interface Asked {
  readonly epoch: number;
  readonly pairs: number;
}

/** Sends the request. */
function ask(index: number, fds: readonly [number, number] | undefined): Asked {
  for (let attempt = 0; ; attempt++) {
    if (native.client() < 0 || isDeaf()) launch();
    const asked = {
      epoch: Atomics.load(words, HEADER.SERVER_EPOCH),
      pairs: Atomics.load(words, HEADER.SERVER_PAIRS),
    };
    try {
      if (fds) native.request(native.client(), index, ...fds);
      else native.request(native.client(), index);
      return asked;
    } catch (error) {
      if (attempt === 3) throw error;
      launch();
    }
  }
}

function launch(): void {
  const [client, requests] = native.socketPair();
  lifeline ??= native.pipe();
  birthsBefore = Atomics.load(words, HEADER.SERVER_BIRTHS);
  const options: ServerOptions = {
    arena: 3,
    requests: 4,
    client: 5,
    lifeline: 6,
    bytes: native.arenaBytes(),
    root: process.pid,
    warm,
    preload,
    argv: process.argv,
    execArgv: process.execArgv,
    nodeOptions: process.env.NODE_OPTIONS,
    entry: entryModule(),
    folder: startFolder(),
  };
  birthplace = { env: { ...process.env }, cwd: process.cwd() };
  const env = { ...process.env };
  if (env.NODE_OPTIONS !== undefined)
    env.NODE_OPTIONS = withoutNodeOptions(env.NODE_OPTIONS, UNWANTED_BY_SERVER);
  let child: ChildProcess;
  try {
    child = startNode(
      'the fork server',
      [
        ...SINGLE_THREADED,
        ...withoutOptions(process.execArgv, UNWANTED_BY_SERVER),
        path.join(__dirname, 'forkserver-main.js'),
        JSON.stringify(options),
      ],
      { stdio: ['ignore', 'inherit', 'inherit', native.arenaFd(), requests, client, lifeline[0]], env },
    );
  } catch (error) {
    native.close(client);
    throw error;
  } finally {
    native.close(requests);
  }
  child.on('exit', () => {
    Atomics.add(words, HEADER.GUARDIAN_DEATHS, 1); // should its server have been killed too
    native.bury(child.pid as number); // it may have died before it was ready, with something in hand
    for (const listener of bereaved) listener();
  });
  child.unref();
  guardian = child;
  if (!isMainThread && child.pid !== undefined) native.watchChild(child.pid, self());
  native.client(client);
  // Other threads of this process may wait for a server that is gone, and would not know it by the new one.
  Atomics.add(words, HEADER.SERVER_PAIRS, 1);
}

/** In a forked child: the server is the parent's. */
export function inheritServer(client: number): void {
  guardian = undefined;
  lifeline = undefined;
  native.client(client);
}

/** In a process that its parent forked from itself: should it need a server, it makes one of its own. */
export function leaveServer(): void {
  for (const fd of lifeline ?? []) native.close(fd);
  if (native.client() >= 0) native.close(native.client());
  inheritServer(-1);
}

/** How long the server may take to end once it has no children, ms. */
const SERVER_END = 100;

/** At this process's end: the server it started may end too. `wait`: so that nothing of it is seen after this process. */
export function letServerGo({ wait }: { wait: boolean }): void {
  if (!lifeline) return;
  native.close(lifeline[1]);
  if (!wait || !guardian?.pid) return;
  try {
    native.awaitExit(guardian.pid, SERVER_END, 1);
  } catch {} // it was reaped before
}
