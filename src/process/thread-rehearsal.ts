import { collectTickets } from '../channel/tickets.js';
import { decodeAsync } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import { attach } from '../memory/commons.js';
import { rehearsedClosure, TIMES } from './rehearsed-closure.js';
import { settleHeap } from './settle-heap.js';

/**
 * What a Worker of the reserve does before a thread is born in it: runs once what each thread runs, so that it is compiled, and has
 * Node make what it makes at the first use. It takes no part in the commons yet: it sees them, and has nothing there.
 */
export async function rehearseLife(): Promise<void> {
  attach();
  void process.stdout.writableLength;
  void process.stderr.writableLength;
  for (let i = 0; i < TIMES; i++) await runOnce();
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
