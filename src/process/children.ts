import { isMainThread } from 'node:worker_threads';
import { words } from '../memory/commons.js';
import { HEADER, REASON } from '../memory/layout.js';
import { native } from '../native/native.js';
import { watchDeaths } from '../wait/deaths.js';
import { depart } from '../wait/depart.js';
import { blockUntil, onBlock, onRing } from '../wait/doorbell.js';
import './kin.js';
import type { Process } from './process.js';
import { letServerGo, onGuardianExit } from './server.js';
import type { Thread } from './thread.js';

/*
 * The processes and threads that this thread has started and that live: told of what happens to them, and seen to at the end.
 */
const children = new Set<Process>();
const threads = new Set<Thread>();
let listening = false;
/** The same for threads. */
let hearing = false;
let guardianDeaths = 0;
let watch: NodeJS.Timeout | undefined;

/** How often to look after children that have lost their fork server, ms. */
const WATCH = 50;
/**
 * How long daemons, and then threads, may take to end when asked, at this process's end, ms. Then daemons are killed, and
 * threads left to Node, which waits for them.
 */
const GRACE = 1000;

export function rememberChild(child: Process<any, any>): void {
  children.add(child);
  if (listening) return;
  listening = true;
  watchDeaths();
  onRing(REASON.CHILD, () => {
    for (const one of children) one.update();
    const deaths = Atomics.load(words, HEADER.GUARDIAN_DEATHS);
    if (deaths !== guardianDeaths) beginWatch();
    guardianDeaths = deaths;
  });
  onGuardianExit(beginWatch);
  seeToTheEnd();
}

export function rememberThread(thread: Thread<any, any>): void {
  threads.add(thread);
  if (hearing) return;
  hearing = true;
  watchDeaths();
  onRing(REASON.CHILD, () => {
    for (const one of threads) one.update();
  });
  seeToTheEnd();
}

export function forgetThread(thread: Thread<any, any>): void {
  threads.delete(thread);
}

/** The threads that this one has started and that live. */
export function livingThreads(): Thread[] {
  for (const thread of threads) thread.isAlive();
  return [...threads];
}

export function forgetChild(child: Process<any, any>): void {
  children.delete(child);
}

/** Those not yet known to have ended. */
export function rememberedChildren(): Iterable<Process> {
  return children;
}

/** This thread's live children. */
export function livingChildren(): Process[] {
  // One that the event loop has not heard of is taken off the process table here.
  for (const child of children) child.isAlive();
  return [...children];
}

/** A guardian has died. Children that were its must be looked after from here. */
function beginWatch(): void {
  watch ??= setInterval(watchOver, WATCH).unref();
}

function watchOver(): void {
  for (const child of children) child.lookAfter();
  if ([...children].some(child => child.isBereaved)) return;
  clearInterval(watch);
  watch = undefined;
}

/** How often to look after those that this thread has spawned, while it blocks, ms. */
const LOOK_AFTER_SPAWNED = 20;

onBlock(() => {
  let isThereAny = false;
  for (const child of children) isThereAny = child.lookWhileBlocked() || isThereAny;
  return isThereAny ? LOOK_AFTER_SPAWNED : undefined;
});

let seen = false;

/** In the fork server: as if nothing had ever been started here. */
export function forgetChildren(): void {
  disownChildren();
  listening = false;
  hearing = false;
  seen = false;
}

/** In a process forked in the midst of its parent's life: what that has started is the parent's. */
export function disownChildren(): void {
  children.clear();
  threads.clear();
  clearInterval(watch);
  watch = undefined;
}

/** In a forked process that has dropped its parent's listeners: nobody sees to the end any more. */
export function forgetEnd(): void {
  seen = false;
}

/** Ends this thread's part in the family in order when it ends. Cheap to call again. */
export function seeToTheEnd(): void {
  if (seen) return;
  seen = true;
  process.on('exit', () => {
    const daemons = livingChildren().filter(child => child.daemon);
    for (const daemon of daemons) {
      daemon.terminate();
      daemon.resume(); // one that is suspended does not hear
    }
    const ended = () => daemons.every(daemon => !daemon.isAlive());
    if (daemons.length > 0 && !blockUntil(ended, GRACE)) for (const daemon of daemons) daemon.kill();
    endThreads();
    if (native.arenaFd() >= 0) depart({ last: isMainThread });
    // Other threads of this process may use the server, even if this one started it.
    if (isMainThread) letServerGo({ wait: children.size === 0 });
  });
}

/** Node ends them too, but does not wake one that sleeps in the kernel, and would do so only after this thread has departed. */
function endThreads(): void {
  const left = [...threads];
  for (const thread of left) thread.terminate();
  const deadline = performance.now() + GRACE;
  for (const thread of left) thread.joinSync({ timeout: Math.max(0, deadline - performance.now()) });
}
