/* The main script of a pool's worker that is a thread. */
import { workerData } from 'node:worker_threads';
import { setEntry } from '../codec/functions/modules.js';
import { hooksStayedBehind } from '../codec/functions/typescript.js';

import { seeToTheEnd } from '../process/children.js';
import { joinIdentity, type SharedIdentity } from '../process/identity.js';
import '../shared/register.js';

import { watchDeaths } from '../wait/deaths.js';
import { serve, type WorkerOptions } from './worker.js';

const { options, entry, identity } = workerData as {
  options: WorkerOptions;
  entry: string | undefined;
  identity: SharedIdentity;
};
hooksStayedBehind(); // what compiles TypeScript may work on the main thread alone, as tsx does on Node 20
setEntry(entry);
joinIdentity(identity);
watchDeaths();
seeToTheEnd();
void serve(options).then(() => process.exit());
