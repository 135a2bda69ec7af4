import { collectTickets } from '../channel/tickets.js';
import { decodeAsync } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { attach } from '../memory/commons.js';
import { self } from '../memory/participants.js';
import { forgetDeaths, watchDeaths } from '../wait/deaths.js';
import { depart } from '../wait/depart.js';
import { livingChildren } from './children.js';
import { rehearsedClosure, TIMES } from './rehearsed-closure.js';
import { settleHeap } from './settle-heap.js';

/**
 * What a Worker of the reserve does before a thread is born in it: runs once what each thread runs, so that it is compiled, and has
 * Node make what it makes at the first use. Then it takes no part in the commons: it sees them, and has nothing there.
 */
export async function rehearseLife(ahead: readonly string[]): Promise<void> {
  for (const file of ahead) require(file);
  attach();
  void process.stdout.writableLength;
  void process.stderr.writableLength;
  for (let i = 0; i < TIMES; i++) await runOnce();
  for (let i = 0; i < TIMES; i++) await takePartOnce();
  settleHeap(); // the mapping of the commons has V8 collect garbage soon, which would else be as the thread is born
}

async function runOnce(): Promise<void> {
  const { result } = collectTickets(() =>
    encode({ target: rehearsedClosure(), args: [1, 'b'] }, { root: '' }),
  );
  const { target, args } = (await decodeAsync(result)).value as {
    target: ReturnType<typeof rehearsedClosure>;
    args: [number, string];
  };
  encode(await target(...args), { root: 'result' });
}

/** Comes to the commons and leaves, as a thread does that has done nothing. */
async function takePartOnce(): Promise<void> {
  self();
  watchDeaths();
  livingChildren();
  depart({ last: false });
  forgetDeaths();
  // The doorbell's watcher is closed on the loop's next turn.
  await new Promise(resolve => setImmediate(resolve));
}
