/**
 * Takes one measurement of one contender and prints it as a line of JSON; run.mjs starts it once for each, so that no
 * contender runs in what another has left behind: `node bench/measure.mjs roundTrip piscina '{"kind":"thread","workers":1}'`
 */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { measures } from './harness/measures.mjs';
import { NotOffered } from './harness/pools.mjs';

const [measure, contender, options] = process.argv.slice(2);

try {
  const adapter = await import(
    pathToFileURL(path.join(import.meta.dirname, 'contenders', `${contender}.mjs`)).href
  );
  report(await measures[measure](adapter, JSON.parse(options)));
} catch (error) {
  if (error instanceof NotOffered) report({ absent: error.message });
  else report({ error: String(error?.stack ?? error) });
}

/** Some contenders leave timers or workers behind that would keep this process for ever. */
function report(result) {
  process.stdout.write(`${JSON.stringify(result)}\n`, () => process.exit(0));
}
