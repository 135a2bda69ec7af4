import type { Cell } from '../sync/cell.js';
import { type NamedOptions, openCell } from '../sync/naming.js';
import { CommonsSpace, commonsRoom } from './commons-space.js';
import { EXCHANGE, Exchange } from './exchange.js';
import { Heap } from './heap.js';
import { Ledger } from './ledger.js';
import { Lifeline } from './lifeline.js';
import { Log } from './log.js';
import { NamedSpace } from './named-space.js';
import type { Space } from './space.js';
import type { Store } from './store.js';

/*
 * A queue's cell: the words of its exchange, those of its store, the table of who has it, and those of its ledger if it has one. If
 * it has a name, that table is not used, and behind all of it is kept account of the memory where its items lie.
 */
const STORE_AT = EXCHANGE.WORDS;
const TABLE_AT = STORE_AT + Math.max(Log.WORDS, Heap.WORDS);
const TABLE_WORDS = 36;
const LEDGER_AT = TABLE_AT + TABLE_WORDS;
const BYTES = 256;
/** As many as make room for the debts of some dozens of threads. */
const JOINABLE_BYTES = 512;

/** Address space for the items of a queue with a name: for some of the longest that there can be. */
export const EXTENT: number = 2 ** 32;

/** More would be beyond what a word holds. */
const MOST_ITEMS = 2 ** 31 - 1;

/** In what order items come out. */
export type Order = 'first' | 'latest' | 'rank';

/** What tells one class of queues from another. */
export interface Sort {
  /** What it is, whatever a subclass is called. */
  readonly kind: string;
  readonly order: Order;
  /** Does each item that was got owe a call of taskDone()? */
  readonly joinable: boolean;
}

/**
 * The cell of a new queue, or of the one of that name.
 * @throws {TypeError | RangeError} maxsize is no whole number.
 */
export function openQueue({ kind, joinable }: Sort, maxsize: number, options: NamedOptions): Cell {
  if (typeof maxsize !== 'number')
    throw new TypeError(
      `Cannot make a ${kind} with ${typeof maxsize} as its size: give the most items that it may have, or nothing`,
    );
  if (!Number.isInteger(maxsize) || maxsize > MOST_ITEMS)
    throw new RangeError(
      `Cannot make a ${kind} of ${maxsize} items: give a whole number up to ${MOST_ITEMS}, or 0 for no such limit`,
    );
  const bytes = bytesOf(joinable);
  const limit = () => (options.name === undefined ? commonsRoom() / 2 : NamedSpace.roomFor(EXTENT));
  return openCell(kind, options, {
    bytes,
    namedBytes: bytes + NamedSpace.wordsFor(EXTENT) * 4,
    extent: EXTENT,
    fill: (words, at) => {
      Exchange.prepare(words, at, Math.max(0, maxsize), limit());
      Lifeline.prepare(words, at + TABLE_AT, TABLE_WORDS * 4);
    },
  });
}

/** Bytes of its words. */
export function bytesOf(joinable: boolean): number {
  return joinable ? JOINABLE_BYTES : BYTES;
}

/** What a queue works with. */
export interface Parts {
  readonly exchange: Exchange;
  readonly ledger: Ledger | undefined;
  /** Undefined: a name keeps it. */
  readonly lifeline: Lifeline | undefined;
}

export function partsOf(cell: Cell, { joinable, order }: Sort): Parts {
  const { words, at } = cell;
  const end = at + bytesOf(joinable) / 4;
  const space: Space = cell.shared ? new NamedSpace(cell.home, end) : new CommonsSpace(cell);
  const store: Store =
    order === 'first' ? new Log(words, at + STORE_AT, space) : new Heap(words, at + STORE_AT, space, order);
  const ledger = joinable ? new Ledger(cell, at + LEDGER_AT, end, space) : undefined;
  const exchange = new Exchange(cell, at, space, store, { ledger });
  cell.concernsOthers = () => exchange.isCarrier;
  if (cell.shared) return { exchange, ledger, lifeline: undefined };
  const lifeline = new Lifeline(cell, at + TABLE_AT, 1, { empty: () => cell.free() });
  const letGo = ({ ends } = { ends: false }) => {
    if (ledger) forsake(exchange, ledger);
    lifeline.letGo(0, !ends);
  };
  cell.lifeline = {
    found: () => lifeline.found(0),
    letGo,
    issue: serial => lifeline.issue(0, serial),
    inherit: serial => lifeline.inherit(0, serial),
    withdraw: serial => lifeline.withdraw(0, serial),
  };
  cell.attached = () => [...store.blocks(), ...lifeline.blocks, ...(ledger?.blocks() ?? [])];
  return { exchange, ledger, lifeline };
}

/** This thread has the queue no more: what it owes it will not pay. */
function forsake(exchange: Exchange, ledger: Ledger): void {
  exchange.lock();
  ledger.abandon();
  const called = ledger.settle(exchange.count);
  exchange.unlock();
  if (called) ledger.call();
}
