/* The main script of a pool's worker that is a thread. */
import { threadId, workerData } from 'node:worker_threads';
import { setEntry } from '../codec/functions/modules.js';
import { hooksStayedBehind } from '../codec/functions/typescript.js';

import { seeToTheEnd } from '../process/children.js';
import { joinIdentity } from '../process/identity.js';
import { enrol } from '../process/roster.js';
import '../shared/register.js';

import { watchDeaths } from '../wait/deaths.js';
import type { ThreadData } from './carriers.js';
import { serve } from './worker.js';

const { options, name, identity, entry } = workerData as ThreadData;
hooksStayedBehind(); // what compiles TypeScript may work on the main thread alone, as tsx does on Node 20
setEntry(entry);
joinIdentity(identity);
enrol({ ident: threadId + 1, name, daemon: true });
watchDeaths();
seeToTheEnd();
void serve(options).then(() => process.exit());
