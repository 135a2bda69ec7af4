import { words } from '../memory/commons.js';
import { REASON } from '../memory/layout.js';
import { forgetDeaths, watchDeaths } from './deaths.js';
import { blockUntil, onRing } from './doorbell.js';
import { type Entry, enter, isWaiting, take, type WakeOptions, wake, withdraw } from './line.js';
import { forgetNodes, NODE, takeFlagged } from './nodes.js';
import {
  type Lines,
  type LineWatch,
  type LineWatcher,
  type Parked,
  Parking,
  type ParkOptions,
  type ParkSyncOptions,
} from './parking.js';

/*
 * Waiting on a word of the commons, in blocking and async form. Both stand in one line, in order of arrival.
 */

/* A class, as V8 is slow with an object literal that has a getter. */
class CommonLines implements Lines {
  get words(): Int32Array {
    return words;
  }

  listen(): void {
    listen();
  }

  enter(word: number, expected: number, options: Entry): number {
    return enter(word, expected, options);
  }

  isWaiting(node: number): boolean {
    return isWaiting(node);
  }

  withdraw(node: number): boolean {
    return withdraw(node);
  }

  take(node: number): number {
    return take(node);
  }

  orderOf(node: number): number {
    return words[node + NODE.ORDER];
  }

  wake(word: number, count: number, options: WakeOptions): number {
    return wake(word, count, options);
  }

  block(_: number, isOver: () => boolean, timeout: number): boolean {
    return blockUntil(isOver, timeout);
  }
}

const parking = new Parking(new CommonLines());
let listening = false;

/** Waits on a word of the commons: see Parking.park(). */
export function park(word: number, expected: number, options?: ParkOptions): Promise<Parked> {
  return parking.park(word, expected, options);
}

/** The same, blocking this thread: see Parking.parkSync(). */
export function parkSync(word: number, expected: number, options?: ParkSyncOptions): Parked {
  return parking.parkSync(word, expected, options);
}

/** Stands in line without a promise: see Parking.watch(). */
export function watch(word: number, expected: number, watcher: LineWatcher): LineWatch | undefined {
  return parking.watch(word, expected, watcher);
}

function listen(): void {
  if (listening) return;
  listening = true;
  onRing(REASON.WAKE, () => parking.look(takeFlagged()));
  watchDeaths(); // first, as what follows looks at what the sweep has changed
  onRing(REASON.DEATH, () => parking.lookAtAll());
}

/** In a process forked in the midst of its parent's life: the same, but this thread still listens. To be called before renewDoorbell(). */
export function dropWaits(): void {
  parking.forget();
  forgetNodes();
}

/**
 * In a forked child: the waits known here are the parent's. They never end; nothing of them stays.
 * To be called before forgetDoorbell().
 */
export function forgetWaits(): void {
  dropWaits();
  forgetDeaths();
  listening = false;
}
