import { words } from '../memory/commons.js';
import { PARTICIPANT, PARTICIPANT_STATE } from '../memory/layout.js';
import { forget, indexOf, record, self } from '../memory/participants.js';

/* Deaths at chosen instants, of a thread that plays several, one after the other. */

class Death extends Error {}

const STEPS = ['store', 'exchange', 'compareExchange', 'add', 'sub'] as const;

/** Runs `action` and stops it for good just before its `last`-th atomic step. False: it ended before. */
export function dieAt(last: number, action: () => void): boolean {
  const real = STEPS.map(name => Atomics[name]);
  let step = 0;
  for (const [i, name] of STEPS.entries()) {
    Object.assign(Atomics, {
      [name]: (...args: unknown[]) => {
        if (++step >= last) throw new Death(); // and whatever it tries on its way out
        return Reflect.apply(real[i], Atomics, args);
      },
    });
  }
  try {
    action();
    return false;
  } catch (error) {
    if (error instanceof Death) return true;
    throw error;
  } finally {
    for (const [i, name] of STEPS.entries()) Object.assign(Atomics, { [name]: real[i] });
  }
}

/** From here on this thread is somebody else, and who it was is dead. Returns the dead one's tag. */
export function beAnother(): number {
  const dead = self();
  Atomics.store(words, record(indexOf(dead)) + PARTICIPANT.STATE, PARTICIPANT_STATE.DEAD);
  forget();
  self();
  return dead;
}
