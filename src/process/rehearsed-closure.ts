import { pathToFileURL } from 'node:url';
import type { SourceShell } from '../codec/functions/description.js';
import { rebuildFunction } from '../codec/functions/rebuild.js';

/** Often enough for V8 to take functions for ones that are used, and to compile them as such. */
export const TIMES = 8;

const SHELL: SourceShell = {
  source: 'async (a, b) => [a, b, captured]',
  form: 'expression',
  url: pathToFileURL(__filename).href,
  line: 0,
  column: 0,
  strict: true,
  name: 'rehearsal',
  captures: [{ name: 'captured' }],
};

/** What is run to no purpose ahead of need: a function with a captured variable, as it comes out of a message. */
export function rehearsedClosure(): (a: number, b: string) => Promise<unknown[]> {
  // A shell of its own: the source is compiled each time.
  const { fn, fill } = rebuildFunction({ ...SHELL });
  fill([{ a: [1, 'b', 0.5] }]);
  return fn as (a: number, b: string) => Promise<unknown[]>;
}
