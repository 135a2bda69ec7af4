/** The other side of a round trip over what one waits at, for as long as it lives. `marker`: made longer when it is there. */
import { appendFileSync } from 'node:fs';

export const other = {
  EventFlag([there, back], marker) {
    appendFileSync(marker, '.');
    for (;;) {
      there.waitSync();
      there.clear();
      back.set();
    }
  },
  /** It has the lock from a notify until its wait: so the two alternate, and there is no flag to look at. */
  Condition([condition], marker) {
    condition.lock.acquireSync();
    appendFileSync(marker, '.');
    for (;;) {
      condition.waitSync();
      condition.notify();
    }
  },
};

export const pingPong = (of, parts, marker) => other[of](parts, marker);
