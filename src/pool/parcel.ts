import {
  beginCollecting,
  beginLending,
  type Collected,
  endCollecting,
  storeWithTickets,
  type Tickets,
} from '../channel/tickets.js';
import { type EncodeIntoOptions, encodeInto, takeEncoded } from '../codec/encode.js';
import { OutOfMemoryError } from '../errors/errors.js';
import { free } from '../memory/allocator.js';
import { beginMessage, finishMessage, messageAt } from '../memory/message.js';
import { self } from '../memory/participants.js';

/*
 * What goes to a worker or comes from one: short messages into the room that a slot has for them, longer ones into a block of the
 * commons. The bytes of buffers and typed arrays are copied into that block and nowhere else.
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

/** The block that the encoder has asked for, until it is somebody's: 0 whenever code of others runs. */
let begun = 0;

/** No memory: the message is made elsewhere, and whoever stores it then says so. */
function spill(bytes: number): Uint8Array | undefined {
  try {
    begun = beginMessage(bytes);
  } catch (error) {
    if (error instanceof OutOfMemoryError) return undefined;
    throw error;
  }
  return messageAt(begun);
}

const ARGS: EncodeIntoOptions = { root: 'args', spill };
const RESULT: EncodeIntoOptions = { root: 'result', spill };

/**
 * Encodes arguments into `room`, or into a block of this thread's. The ends of pipes in them are on loan: to be released once the task
 * has settled.
 * @throws {SerializationError} Something in them cannot cross.
 * @throws {OutOfMemoryError} There is no room for the block.
 */
export function packArgs(args: unknown, room: Uint8Array): void {
  const loans = pack(args, room, ARGS, beginLending());
  packed.tickets = loans;
  packed.handle = packed.length < 0 ? store(room, null, loans) : 0;
}

/** The same for what a worker gives: the block holds open what is in it. */
export function packResult(value: unknown, room: Uint8Array): void {
  const tickets = pack(value, room, RESULT, beginCollecting());
  packed.tickets = null;
  packed.handle = packed.length < 0 || tickets ? store(room, tickets, tickets) : 0;
}

function pack(value: unknown, room: Uint8Array, how: EncodeIntoOptions, before: Collected): Tickets | null {
  try {
    packed.length = encodeInto(value, room, 0, how);
  } catch (error) {
    endCollecting(before)?.release();
    if (begun !== 0) free(begun);
    begun = 0;
    throw error;
  }
  return endCollecting(before);
}

/** The block of what has just been packed, to which `bound` are bound. `held`: to be released if there is no memory for it. */
function store(room: Uint8Array, bound: Tickets | null, held: Tickets | null): number {
  const { length } = packed;
  if (begun !== 0) {
    const handle = begun;
    begun = 0;
    finishMessage(handle, -length, bound?.serial);
    bound?.bind(handle);
    return handle;
  }
  try {
    return storeWithTickets(length < 0 ? takeEncoded() : room.slice(0, length), self(), bound);
  } catch (error) {
    held?.release();
    throw error;
  }
}
