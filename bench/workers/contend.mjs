/** One of the processes that harness/contention.mjs forks: contends for the lock that a contender's module opens. */
import { takePart } from '../harness/contention.mjs';

const [module, options] = process.argv.slice(2);
const { openLock } = await import(module);
const given = JSON.parse(options);
const lock = openLock(given);
const shares = await takePart(lock, given);
lock.close?.();
process.send(shares, () => process.exit());
