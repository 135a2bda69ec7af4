import { storeWithTickets, type Tickets } from '../channel/tickets.js';
import { free, givenTo, takeOver, transfer } from '../memory/allocator.js';
import { carries } from '../memory/message.js';
import { self } from '../memory/participants.js';

/**
 * Makes a block of the commons that holds open what the tickets are for, and gives it to the starter of a thread. The thread may
 * be terminated at any step of this, and of endCustody(): then the block is its own, which goes with it, or the starter's.
 */
export function takeCustody(words: Int32Array, word: number, tickets: Tickets | null, starter: number): void {
  if (tickets === null) return;
  const handle = storeWithTickets(new Uint8Array(0), self(), tickets);
  words[word + 1] = tickets.serial;
  Atomics.store(words, word, handle);
  transfer(handle, self(), givenTo(starter));
}

/** Ends that, unless the other side has. True: there was something to end. */
export function endCustody(words: Int32Array, word: number, starter: number): boolean {
  const handle = Atomics.load(words, word) >>> 0;
  if (handle === 0) return false;
  const isThere = carries(handle, words[word + 1]) && takeOver(handle, givenTo(starter), self());
  if (isThere) free(handle);
  Atomics.store(words, word, 0);
  return isThere;
}
