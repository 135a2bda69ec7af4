import { leave, self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { haveAllLook, sweep } from './deaths.js';
import { forgetDoorbell } from './doorbell.js';
import { forgetWaits } from './park.js';

type Question = () => boolean;
const questions: Question[] = [];

/** Asks `question` before this thread leaves: must those who wait for something of it look again once it has left? */
export function onDepart(question: Question): void {
  questions.push(question);
}

/**
 * This thread's orderly end: gives back all it has in the commons, as a sweeper would after its death, and its place there.
 * Waits that it still has never end. `last`: its process ends now too (see leave()).
 */
export function depart({ last }: { last: boolean }): void {
  const missed = questions.filter(question => question()).length > 0;
  forgetWaits();
  sweep(self());
  forgetDoorbell();
  native.bellClose();
  leave({ last });
  if (missed) haveAllLook();
}
