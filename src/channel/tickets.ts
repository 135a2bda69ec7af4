import { storeMessage } from '../memory/message.js';
import { newNumber } from '../sync/cell.js';
import type { Lifeline } from './lifeline.js';

/*
 * The end of a pipe on its way to somebody. As a message that names it is encoded, the end's table (lifeline.ts) gets an entry of
 * its own for that, a ticket. So the sender may close the end as soon as it has sent it.
 *
 * A ticket is good as long as the thread that encoded it lives, or, once it is bound to a block, as long as that is there and
 * begins with the tickets' number (carries() in memory/message.ts). So it goes with the block, whoever frees that, and however
 * the block comes to change hands on its way. It is the message's own block, for channels, processes and pools.
 *
 * Where the sender lives for as long as the message matters, and knows when it does not any more, as a pool does with its tasks,
 * loans do: one ticket of the thread's for all that it has on its way, however many messages that are.
 *
 * Who frees a block to which tickets are bound
 *   has just decoded it: nothing is to be done, as the thread now holds the ends itself;
 *   has the Tickets, as who has encoded it: calls release() before;
 *   has neither: calls haveAllLook() afterwards, so that all who wait for an end look again. The death of whoever had it
 *   does the same.
 */

interface Ticket {
  readonly lifeline: Lifeline;
  readonly end: number;
}

/** What one message holds open. To be bound, or released, by whoever encoded it. */
export class Tickets {
  /** Common to all of them: 1 to 2³⁰ − 1. 0: they are loans. */
  readonly serial: number;
  readonly #all: Ticket[] = [];

  constructor({ loans = false } = {}) {
    this.serial = loans ? 0 : newNumber();
  }

  add(lifeline: Lifeline, end: number): void {
    if (this.#all.some(one => one.lifeline === lifeline && one.end === end)) return;
    if (this.serial === 0) lifeline.lend(end);
    else lifeline.issue(end, this.serial);
    this.#all.push({ lifeline, end });
  }

  /** They are good as long as this block is there from now on. It must begin with their number already. */
  bind(handle: number): void {
    for (const { lifeline, end } of this.#all) lifeline.bind(end, this.serial, handle);
  }

  /** It is on its way to that end itself: who receives it has that already, so nobody needs to hold it open for them. */
  withdraw(lifeline: Lifeline, end: number): void {
    const index = this.#all.findIndex(one => one.lifeline === lifeline && one.end === end);
    if (index < 0) return;
    this.#all.splice(index, 1);
    this.#return(lifeline, end);
  }

  /** The message arrives nowhere, or not again. What they are bound to must still be there. */
  release(): void {
    for (const { lifeline, end } of this.#all.splice(0)) this.#return(lifeline, end);
  }

  #return(lifeline: Lifeline, end: number): void {
    if (this.serial === 0) lifeline.redeem(end);
    else lifeline.withdraw(end, this.serial);
  }
}

/** What is collected when there are no tickets yet. */
const NO_LOANS = Symbol('no loans');

/** Undefined: nobody collects what is encoded. */
export type Collected = Tickets | null | typeof NO_LOANS | undefined;

let collected: Collected;

/** Collects the tickets of what this thread encodes from here to endCollecting(), which must follow. */
export function beginCollecting(): Collected {
  const before = collected;
  collected = null;
  return before;
}

/** The same for loans. They need no block, and must be released. */
export function beginLending(): Collected {
  const before = collected;
  collected = NO_LOANS;
  return before;
}

/** `before`: what begin…() returned. Null: there were none. */
export function endCollecting(before: Collected): Tickets | null {
  const found = collected;
  collected = before;
  return found instanceof Tickets ? found : null;
}

/** What `encode` returns, and the tickets of what it encoded. If it throws, they are released. */
export function collectTickets<R>(encode: () => R): { result: R; tickets: Tickets | null } {
  const before = beginCollecting();
  try {
    const result = encode();
    return { result, tickets: endCollecting(before) };
  } catch (error) {
    endCollecting(before)?.release();
    throw error;
  }
}

/** Copies `message` into a new block that belongs to `owner`, and holds open what its tickets are for. @throws {OutOfMemoryError} */
export function storeWithTickets(message: Uint8Array, owner: number, tickets: Tickets | null): number {
  const handle = storeMessage(message, owner, tickets?.serial);
  tickets?.bind(handle);
  return handle;
}

/** A ticket for what is being encoded. Its serial number. If nobody collects them, it is good as long as this thread lives. */
export function issueTicket(lifeline: Lifeline, end: number): number {
  const tickets = collected instanceof Tickets ? collected : new Tickets({ loans: collected === NO_LOANS });
  tickets.add(lifeline, end);
  if (collected !== undefined) collected = tickets;
  return tickets.serial;
}
