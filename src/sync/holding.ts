import { onDepart } from '../wait/depart.js';

/** How many things this thread holds that others may wait for. */
let held = 0;

export function nowHeld(): void {
  held++;
}

export function nowGivenBack(): void {
  held--;
}

// Who leaves in order with a lock in hand is to those who wait for it as good as dead.
onDepart(() => held > 0);
