import { pathToFileURL } from 'node:url';
import { collectTickets } from '../channel/tickets.js';
import { decodeAsync } from '../codec/decode.js';
import { encode } from '../codec/encode.js';
import type { SourceShell } from '../codec/functions/description.js';
import { rebuildFunction } from '../codec/functions/rebuild.js';
import { attach } from '../memory/commons.js';
import { settleHeap } from './settle-heap.js';

/** A function with a captured variable, as it crosses by value. */
const CLOSURE: SourceShell = {
  kind: 'source',
  source: 'async (a, b) => [a, b, captured]',
  form: 'expression',
  url: pathToFileURL(__filename).href,
  line: 0,
  column: 0,
  strict: true,
  name: 'rehearsal',
  captures: [{ name: 'captured' }],
};

/** Often enough for V8 to take functions for ones that are used, and to compile them as such. */
const TIMES = 8;

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
  const { fn, fill } = rebuildFunction(CLOSURE);
  fill([{ a: [1, 'b', 0.5] }]);
  const { result } = collectTickets(() => encode({ target: fn, args: [1, 'b'] }, { root: '' }));
  const { target, args } = (await decodeAsync(result)).value as { target: typeof fn; args: unknown[] };
  encode(await target(...args), { root: 'result' });
}
