import {
  beginCollecting,
  beginLending,
  endCollecting,
  storeWithTickets,
  type Tickets,
} from '../channel/tickets.js';
import { encodeInto, takeEncoded } from '../codec/encode.js';
import { self } from '../memory/participants.js';

/*
 * What goes to a worker or comes from one: short messages into the room that a slot has for them, longer ones into a block of the
 * commons.
 */

/** What the last pack…() made. To be read before the next. */
export const packed: {
  /** Bytes in the room; meaningless with a block. */
  length: number;
  /** The block; 0: none. */
  handle: number;
  /** Of the ends of pipes in it. */
  tickets: Tickets | null;
} = { length: 0, handle: 0, tickets: null };

/**
 * Encodes arguments into `room`, or into a block of this thread's. The ends of pipes in them are on loan: to be released once the task
 * has settled.
 * @throws {SerializationError} Something in them cannot cross.
 * @throws {OutOfMemoryError} There is no room for the block.
 */
export function packArgs(args: unknown, room: Uint8Array): void {
  const before = beginLending();
  try {
    pack(args, room, { root: 'args' }, null);
  } catch (error) {
    endCollecting(before)?.release();
    throw error;
  }
  packed.tickets = endCollecting(before);
}

/** The same for what a worker gives: the block holds open what is in it. */
export function packResult(value: unknown, room: Uint8Array): void {
  const before = beginCollecting();
  let length: number;
  try {
    length = encodeInto(value, room, 0, { root: 'result' });
  } catch (error) {
    endCollecting(before)?.release();
    throw error;
  }
  const tickets = endCollecting(before);
  packed.tickets = null;
  packed.handle = 0;
  packed.length = length;
  if (length >= 0 && !tickets) return;
  const message = length < 0 ? takeEncoded() : room.slice(0, length);
  try {
    packed.handle = storeWithTickets(message, self(), tickets);
  } catch (error) {
    tickets?.release();
    throw error;
  }
}

function pack(value: unknown, room: Uint8Array, how: { root: string }, tickets: Tickets | null): void {
  const length = encodeInto(value, room, 0, how);
  packed.length = length;
  packed.handle = length < 0 ? storeWithTickets(takeEncoded(), self(), tickets) : 0;
}
