import { words } from '../memory/commons.js';
import { REASON } from '../memory/layout.js';
import { forgetDeaths, watchDeaths } from './deaths.js';
import { blockUntil, onRing } from './doorbell.js';
import { enter, isWaiting, take, wake, withdraw } from './line.js';
import { forgetNodes, NODE, takeFlagged } from './nodes.js';
import { type Parked, Parking, type ParkOptions, type ParkSyncOptions } from './parking.js';

export type { Parked, ParkOptions, ParkSyncOptions } from './parking.js';

/*
 * Waiting on a word of the commons, in blocking and async form. Both stand in one line, in order of arrival.
 */
const parking = new Parking({
  get words() {
    return words;
  },
  listen,
  enter: (word, expected, options) => enter(word, expected, options),
  isWaiting: node => isWaiting(node),
  withdraw: node => withdraw(node),
  take: node => take(node),
  orderOf: node => words[node + NODE.ORDER],
  wake: (word, count, options) => wake(word, count, options),
  block: (_, isOver, timeout) => blockUntil(isOver, timeout),
});
let listening = false;

/** Waits on a word of the commons: see Parking.park(). */
export function park(word: number, expected: number, options?: ParkOptions): Promise<Parked> {
  return parking.park(word, expected, options);
}

/** The same, blocking this thread: see Parking.parkSync(). */
export function parkSync(word: number, expected: number, options?: ParkSyncOptions): Parked {
  return parking.parkSync(word, expected, options);
}

function listen(): void {
  if (listening) return;
  listening = true;
  onRing(REASON.WAKE, () => parking.look(takeFlagged()));
  watchDeaths(); // first, as what follows looks at what the sweep has changed
  onRing(REASON.DEATH, () => parking.lookAtAll());
}

/**
 * In a forked child: the waits known here are the parent's. They never end; nothing of them stays.
 * To be called before forgetDoorbell().
 */
export function forgetWaits(): void {
  parking.forget();
  forgetNodes();
  forgetDeaths();
  listening = false;
}
