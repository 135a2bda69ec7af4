import path from 'node:path';
import { portable, type Target } from './target.js';
import { Thread } from './thread.js';
import { WORD } from './thread-words.js';
import { type Appointment, sharedNow } from './timer-run.js';

const RUN = { module: path.join(__dirname, 'timer-run.js'), export: 'keep' };

/**
 * A Thread that calls its target once, `delay` ms after start(), unless cancel() comes first. Until then its event loop sleeps.
 * If its thread has not begun by that time, it calls as soon as it has.
 *
 * result() gives what the target returned, or undefined if it was cancelled; join() waits for the call, or for cancel(). Like any Thread
 * it keeps the program alive unless it is a daemon: `timer.daemon = true` before start(). Its name is `Thread-N`.
 *
 * Python: `threading.Timer`, whose interval is in seconds.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Timer } from 'manyhands';
 *
 * const timer = new Timer(10, (what: string) => `time for ${what}`, ['tea']).start();
 * assert.equal(await timer.result(), 'time for tea');
 *
 * const never = new Timer(60_000, () => 'too late').start();
 * never.cancel();
 * assert.equal(await never.result(), undefined);
 * ```
 */
export class Timer<A extends readonly unknown[] = any[], R = unknown> extends Thread<A, R | undefined> {
  readonly #delay: number;
  readonly #appointment: Appointment;
  #isCancelled = false;

  /**
   * `delay`: ms, 0 or more; Infinity waits for cancel().
   * @throws {TypeError} `delay` is no number, or `target` is no target.
   * @throws {RangeError} `delay` is negative or NaN.
   */
  constructor(delay: number, target: Target<A, R>, args: A = [] as readonly unknown[] as A) {
    if (typeof delay !== 'number')
      throw new TypeError(`Cannot wait for ${typeof delay} as "delay": give a number of milliseconds`);
    if (!(delay >= 0)) throw new RangeError(`Cannot wait for ${delay} ms: give 0 or more`);
    if (!Array.isArray(args)) throw new TypeError(`Cannot pass ${typeof args} as "args": give an array`);
    const appointment: Appointment = { due: 0, target: portable(target) };
    super({ target: RUN as Target<A, R>, args: [...args, appointment] as readonly unknown[] as A });
    this.#delay = delay;
    this.#appointment = appointment;
  }

  override start(): this {
    this.#appointment.due = sharedNow() + this.#delay;
    return super.start();
  }

  /**
   * Has the target not be called if that has not begun yet: the thread ends then. Before start() it does so for the start to come; once
   * the target has been called it does nothing. To end a call under way is for terminate().
   */
  cancel(): void {
    this.#isCancelled = true;
    this.tell(WORD.CANCELLED);
  }

  protected override launch(): void {
    super.launch();
    if (this.#isCancelled) this.tell(WORD.CANCELLED);
  }
}
