/** One of the processes that harness/contention.mjs forks: uses the store that a contender's module opens. */
import { takeSteps } from '../harness/store.mjs';

const [module, options] = process.argv.slice(2);
const { openStore } = await import(module);
const given = JSON.parse(options);
const store = openStore(given);
const share = await takeSteps(store, given);
await store.close?.();
process.send(share, () => process.exit());
