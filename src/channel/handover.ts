import type { WaitOptions } from '../wait/options.js';
import { breath, soon } from './breath.js';
import { type Exchange, OUTCOME, type Outcome } from './exchange.js';
import { mustWait, unpack, unpackAsync } from './item.js';
import { borrow, giveBack, type Parcel } from './parcel.js';

/*
 * How one item goes into an exchange, and comes out of one, for queues and pipes alike: at once if that can be, else by a wait.
 */
const { DONE, NOT_NOW, NEVER } = OUTCOME;

/** The error for an attempt that came to this. `most`: as given to take(). */
export type Explain = (outcome: Outcome, parcel: Parcel, most: number) => Error;

/** Puts the item in `parcel` in, which is given back in any case. In line by the time the call returns, if it has to wait. */
export function put(
  exchange: Exchange,
  parcel: Parcel,
  options: WaitOptions | undefined,
  explain: Explain,
): Promise<void> {
  return isIn(exchange, parcel, explain)
    ? soon(undefined)
    : putWaiting(exchange, parcel, options ?? {}, explain);
}

/** The same, blocking this thread. */
export function putSync(exchange: Exchange, parcel: Parcel, timeout: number, explain: Explain): void {
  if (isIn(exchange, parcel, explain)) return;
  let outcome: Outcome = NOT_NOW;
  try {
    if (timeout > 0) outcome = exchange.putSync(called => exchange.offer(parcel, called), timeout);
    if (outcome !== DONE) throw explain(outcome, parcel, -1);
  } finally {
    giveBack(parcel, exchange.space);
  }
}

/** Tries it at once. False: it must wait, and the parcel is still the caller's. */
function isIn(exchange: Exchange, parcel: Parcel, explain: Explain): boolean {
  let outcome: Outcome = NEVER;
  try {
    outcome = exchange.offer(parcel, false);
  } finally {
    if (outcome !== NOT_NOW) giveBack(parcel, exchange.space);
  }
  if (outcome === DONE) return true;
  if (outcome === NOT_NOW) return false;
  throw explain(outcome, parcel, -1);
}

async function putWaiting(
  exchange: Exchange,
  parcel: Parcel,
  options: WaitOptions,
  explain: Explain,
): Promise<void> {
  try {
    const outcome = await exchange.put(called => exchange.offer(parcel, called), options);
    if (outcome === NOT_NOW) await breath();
    if (outcome !== DONE) throw explain(outcome, parcel, -1);
  } finally {
    giveBack(parcel, exchange.space);
  }
}

/**
 * Takes the next item out. In line by the time the call returns, if it has to wait. `most`: only if it is bytes as they are, no
 * more than so many.
 */
export function take(
  exchange: Exchange,
  options: WaitOptions | undefined,
  explain: Explain,
  most = -1,
): Promise<unknown> {
  const parcel = borrow();
  const outcome = exchange.take(parcel, false, most);
  if (outcome === DONE && !mustWait(parcel, exchange.space)) return soon(opened(exchange, parcel));
  return takeWaiting(exchange, parcel, outcome, options ?? {}, explain, most);
}

/** The same for any item, blocking this thread. */
export function takeSync(exchange: Exchange, timeout: number, explain: Explain): unknown {
  const parcel = borrow();
  let outcome = exchange.take(parcel, false);
  if (outcome === NOT_NOW && timeout > 0)
    outcome = exchange.getSync(called => exchange.take(parcel, called), timeout);
  if (outcome === DONE) return opened(exchange, parcel);
  giveBack(parcel, exchange.space);
  throw explain(outcome, parcel, -1);
}

function opened({ space }: Exchange, parcel: Parcel): unknown {
  try {
    return unpack(parcel, space);
  } finally {
    giveBack(parcel, space);
  }
}

async function takeWaiting(
  exchange: Exchange,
  parcel: Parcel,
  first: Outcome,
  options: WaitOptions,
  explain: Explain,
  most: number,
): Promise<unknown> {
  const { space } = exchange;
  try {
    let outcome = first;
    if (outcome === NOT_NOW)
      outcome = await exchange.get(called => exchange.take(parcel, called, most), options);
    if (outcome === NOT_NOW) await breath();
    if (outcome !== DONE) throw explain(outcome, parcel, most);
    if (mustWait(parcel, space)) return (await unpackAsync(parcel, space)).value;
    return unpack(parcel, space);
  } finally {
    giveBack(parcel, space);
  }
}
