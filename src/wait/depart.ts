import { leave, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { sweep } from './deaths.js';
import { forgetDoorbell } from './doorbell.js';
import { forgetWaits } from './park.js';

/**
 * This thread's orderly end: gives back all it has in the commons, as a sweeper would after its death, and its place there.
 * Waits that it still has never end. `last`: its process ends now too (see leave()).
 */
export function depart({ last }: { last: boolean }): void {
  forgetWaits();
  sweep(self());
  forgetDoorbell();
  native.bellClose();
  leave({ last });
}
