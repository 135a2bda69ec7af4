import { words } from '../memory/commons.js';
import { HEADER, REASON } from '../memory/layout.js';
import { watchDeaths } from '../wait/deaths.js';
import { depart } from '../wait/depart.js';
import { blockUntil, onRing } from '../wait/doorbell.js';
import type { Process } from './process.js';
import { letServerGo, onGuardianExit } from './server.js';

/*
 * The processes that this thread has started and that live: told of what happens to them, and seen to at the end.
 */
const children = new Set<Process>();
let listening = false;
let guardianDeaths = 0;
let watch: NodeJS.Timeout | undefined;

/** How often to look after children that have lost their fork server, ms. */
const WATCH = 50;
/** How long daemons may take to end when asked, at this process's end, ms. Then they are killed. */
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

export function forgetChild(child: Process<any, any>): void {
  children.delete(child);
}

/** This thread's live children. */
export function livingChildren(): Process[] {
  for (const child of children) child.update();
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

let seen = false;

/** In the fork server: as if nothing had ever been started here. */
export function forgetChildren(): void {
  children.clear();
  listening = false;
  seen = false;
}

/** Ends this thread's part in the family in order when it ends. Cheap to call again. */
export function seeToTheEnd(): void {
  if (seen) return;
  seen = true;
  process.on('exit', () => {
    const daemons = livingChildren().filter(child => child.daemon);
    for (const daemon of daemons) daemon.terminate();
    const ended = () => daemons.every(daemon => !daemon.isAlive());
    if (daemons.length > 0 && !blockUntil(ended, GRACE)) for (const daemon of daemons) daemon.kill();
    depart({ last: true });
    letServerGo({ wait: children.size === 0 });
  });
}
