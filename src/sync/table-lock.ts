import type { WaitOptions } from '../wait/options.js';
import { Cell } from './cell.js';
import { currentFlow, THREAD } from './flow.js';
import type { Guard } from './guard.js';
import { type Grant, Holders } from './holders.js';
import { keyHash } from './key-hash.js';
import { type NamedOptions, openCell } from './naming.js';
import { type Rules, registerRules, Shareable } from './shareable.js';
import { registerShared } from './shared-object.js';

const ROW = 1;
const SHARED: Grant = { mode: 2, low: 0, high: 0 };
const EXCLUSIVE: Grant = { mode: 3, low: 0, high: 0 };

const RULES: Rules = {
  kind: 2,
  conflict: (a, b) => {
    if (a.mode === ROW && b.mode === ROW) return a.low === b.low && a.high === b.high;
    return a.mode !== SHARED.mode || b.mode !== SHARED.mode;
  },
  isForOne: ({ mode }) => mode === EXCLUSIVE.mode,
  isHarmless: ({ mode }) => mode === SHARED.mode,
};

const BYTES = 1024;
const NAMED_BYTES = 65_536;

/** How {@link TableLock.table} takes the table, and how long it may wait. */
export interface TableOptions extends WaitOptions {
  /** 'exclusive' (default): alone. 'shared': beside others that share the table, while no row is locked. */
  mode?: 'shared' | 'exclusive';
}

/**
 * Table lock and row locks in one: `row(key)` excludes the same key and the whole table; `table()` excludes every row.
 *
 * Order: of arrival among those that exclude one another, so a table() is not starved by rows. Keys are told apart by
 * type and value: 1 and '1' are two rows. (By 62 bits of a hash; two keys that share it, one pair in 10¹⁸, exclude each other.)
 *
 * Death: what a thread held when it ended comes back; who gets that row, or the table, next has `guard.abandoned` true.
 * Deadlocks are found as Lock's.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { TableLock, TimeoutError } from 'manyhands';
 *
 * using locks = new TableLock();
 * const [ann, bob] = [await locks.row('ann'), await locks.row('bob')]; // different rows: at the same time
 * await assert.rejects(locks.row('ann', { timeout: 10 }), TimeoutError);
 * await assert.rejects(locks.table({ timeout: 10 }), TimeoutError);
 * ann.release();
 * bob.release();
 * using all = await locks.table();
 * assert.equal(all.abandoned, false);
 * ```
 */
export class TableLock extends Shareable {
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
        : openCell('TableLock', options, { bytes: BYTES, namedBytes: NAMED_BYTES, fill: Holders.prepare }),
      RULES,
    );
  }

  /**
   * Waits until nobody has this row or the table.
   * @throws {TimeoutError} Somebody had when `timeout` had passed. `timeout: 0` does not wait.
   * @throws {DeadlockError} The wait would never end.
   */
  row(key: string | number, options?: WaitOptions): Promise<Guard> {
    return rejecting(() => this.obtain(rowOf(key), options));
  }

  /** Waits until nobody has any row, or the table in a way that excludes `mode`. Throws as row() does. */
  table(options?: TableOptions): Promise<Guard> {
    return rejecting(() => this.obtain(grantOf(options), options));
  }

  /** row(), blocking this thread. */
  rowSync(key: string | number, options?: { timeout?: number }): Guard {
    return this.obtainSync(rowOf(key), currentFlow()?.id ?? THREAD, options);
  }

  /** table(), blocking this thread. */
  tableSync(options?: { timeout?: number; mode?: 'shared' | 'exclusive' }): Guard {
    return this.obtainSync(grantOf(options), currentFlow()?.id ?? THREAD, options);
  }
}

function rowOf(key: string | number): Grant {
  if (typeof key !== 'string' && typeof key !== 'number')
    throw new TypeError(`Cannot lock a row by ${typeof key}: give its key, a string or a number`);
  const [low, high] = keyHash(key);
  return { mode: ROW, low, high };
}

function grantOf(options: TableOptions | undefined): Grant {
  const mode = options?.mode ?? 'exclusive';
  if (mode !== 'exclusive' && mode !== 'shared')
    throw new RangeError(`Cannot lock the table in mode ${String(mode)}: give 'shared' or 'exclusive'`);
  return mode === 'shared' ? SHARED : EXCLUSIVE;
}

/** What is wrong with the arguments rejects, as all else does. */
function rejecting<T>(make: () => Promise<T>): Promise<T> {
  try {
    return make();
  } catch (error) {
    return Promise.reject(error);
  }
}

registerRules(RULES);
registerShared('TableLock', TableLock, { open: name => new TableLock({ name }) });
