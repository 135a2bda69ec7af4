import type { WaitOptions } from '../wait/options.js';
import { Cell } from './cell.js';
import { currentFlow, THREAD } from './flow.js';
import type { Guard } from './guard.js';
import { type Grant, Holders } from './holders.js';
import { type NamedOptions, openCell } from './naming.js';
import { type Rules, registerRules, Shareable } from './shareable.js';
import { registerShared } from './shared-object.js';

const READ: Grant = { mode: 1, low: 0, high: 0 };
const WRITE: Grant = { mode: 2, low: 0, high: 0 };

const RULES: Rules = {
  kind: 1,
  conflict: (a, b) => a.mode === WRITE.mode || b.mode === WRITE.mode,
  isForOne: ({ mode }) => mode === WRITE.mode,
  isHarmless: ({ mode }) => mode === READ.mode,
};

const BYTES = 1024;
const NAMED_BYTES = 65_536;

/**
 * A lock for many readers or one writer, among all threads and processes that have it.
 *
 * Order: of arrival. Readers that come while a writer waits stay behind it, so writers are not starved, nor are readers.
 * It is not re-entrant: who reads and wants to write waits for itself. In the blocking form that is a DeadlockError.
 *
 * Death: what a thread held when it ended comes back. After a writer's death the next guard has `abandoned` true.
 * Deadlocks are found as Lock's.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { RWLock, TimeoutError } from 'manyhands';
 *
 * using lock = new RWLock();
 * const [one, other] = [await lock.read(), await lock.read()]; // at the same time
 * await assert.rejects(lock.write({ timeout: 10 }), TimeoutError);
 * one.release();
 * other.release();
 * using writer = await lock.write(); // alone
 * assert.equal(writer.abandoned, false);
 * ```
 */
export class RWLock extends Shareable {
  /**
   * A new lock, or with `{ name }` the one of that name if there is one.
   * @throws {NameInUseError} The name is that of something else.
   * @throws {OutOfMemoryError} There is no memory for it.
   */
  constructor(options?: NamedOptions);
  constructor(options: NamedOptions | Cell = {}) {
    super(
      options instanceof Cell
        ? options
        : openCell('RWLock', options, { bytes: BYTES, namedBytes: NAMED_BYTES, fill: Holders.prepare }),
      RULES,
    );
  }

  /**
   * Waits until nobody writes.
   * @throws {TimeoutError} Somebody did when `timeout` had passed. `timeout: 0` does not wait.
   * @throws {DeadlockError} The wait would never end.
   */
  read(options?: WaitOptions): Promise<Guard> {
    return this.obtain(READ, options);
  }

  /** Waits until nobody reads or writes. Throws as read() does. */
  write(options?: WaitOptions): Promise<Guard> {
    return this.obtain(WRITE, options);
  }

  /** read(), blocking this thread. */
  readSync(options?: { timeout?: number }): Guard {
    return this.obtainSync(READ, currentFlow()?.id ?? THREAD, options);
  }

  /** write(), blocking this thread. */
  writeSync(options?: { timeout?: number }): Guard {
    return this.obtainSync(WRITE, currentFlow()?.id ?? THREAD, options);
  }
}

registerRules(RULES);
registerShared('RWLock', RWLock, { open: name => new RWLock({ name }) });
