import type { Cell } from '../sync/cell.js';
import { type NamedOptions, openCell } from '../sync/naming.js';
import { CommonsSpace, commonsRoom } from './commons-space.js';
import { EXCHANGE, Exchange } from './exchange.js';
import { Log } from './log.js';
import type { Space } from './space.js';
import type { Store } from './store.js';

/*
 * A queue's cell: the words of its exchange, then those of its store.
 */
const STORE_AT = EXCHANGE.WORDS;
const BYTES = 256;

/** More would be beyond what a word holds. */
const MOST_ITEMS = 2 ** 31 - 1;

/** In what order items come out. */
export type Order = 'first' | 'latest' | 'rank';

/**
 * The cell of a new queue, or of the one of that name.
 * @throws {TypeError | RangeError} maxsize is no whole number.
 */
export function openQueue(kind: string, maxsize: number, options: NamedOptions): Cell {
  if (typeof maxsize !== 'number')
    throw new TypeError(
      `Cannot make a ${kind} with ${typeof maxsize} as its size: give the most items that it may have, or nothing`,
    );
  if (!Number.isInteger(maxsize) || maxsize > MOST_ITEMS)
    throw new RangeError(
      `Cannot make a ${kind} of ${maxsize} items: give a whole number up to ${MOST_ITEMS}, or 0 for no such limit`,
    );
  return openCell(kind, options, {
    bytes: BYTES,
    fill: (words, at) => Exchange.prepare(words, at, Math.max(0, maxsize), commonsRoom() / 2),
  });
}

export function exchangeIn(cell: Cell, _order: Order): Exchange {
  const space: Space = new CommonsSpace(cell);
  const store: Store = new Log(cell.words, cell.at + STORE_AT, space);
  cell.attached = () => store.blocks();
  return new Exchange(cell, cell.at, space, store);
}
