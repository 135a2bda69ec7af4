import { REASON } from '../memory/layout.js';
import { onRing } from '../wait/doorbell.js';
import { type PortableTarget, resolveTarget } from './target.js';
import { WORD } from './thread-words.js';

/** What a Timer's thread is to wait for. */
export interface Appointment {
  /** When to call, by the clock that all threads of the process share: process.hrtime(), ms. */
  due: number;
  readonly target: PortableTarget;
}

/** setTimeout() takes no more, ms. */
const LONGEST = 2 ** 31 - 1;

/** Words that this thread shares with its starter; set in threads. */
let own: Int32Array = new Int32Array(new SharedArrayBuffer(4 * Object.keys(WORD).length));

/** In a thread. */
export function shareWords(words: Int32Array): void {
  own = words;
}

/** Now, for Appointment.due. */
export function sharedNow(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1e3 + nanoseconds / 1e6;
}

/** What a Timer's thread runs. The last argument is the Appointment, those before are the target's. */
export async function keep(...all: unknown[]): Promise<unknown> {
  const { due, target } = all.at(-1) as Appointment;
  if (!(await isCalled(due))) return undefined;
  return (await resolveTarget(target))(...all.slice(0, -1));
}

/** Waits until it is time, true, or the Timer is cancelled, false. */
function isCalled(due: number): Promise<boolean> {
  const isCancelled = () => Atomics.load(own, WORD.CANCELLED) !== 0;
  return new Promise(resolve => {
    let timer: NodeJS.Timeout | undefined;
    const look = () => {
      clearTimeout(timer);
      const left = due - sharedNow();
      if (left > 0 && !isCancelled()) {
        timer = setTimeout(look, Math.min(Math.ceil(left), LONGEST));
        return;
      }
      stop();
      resolve(!isCancelled());
    };
    const stop = onRing(REASON.CHILD, look);
    look();
  });
}
