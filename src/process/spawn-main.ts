/* The main script of a spawned child. Its arguments: the arena's descriptor and size, and its process record. */
import '../platform/quick-imports.js'; // first

import * as commons from '../memory/commons.js';
import { endQuickImports } from '../platform/quick-imports.js';
import { runSpawned } from './child.js';
import { printAtOnce } from './printing.js';

endQuickImports();
const [arena, bytes, record, ...argv] = process.argv.slice(2);
process.argv = argv;
printAtOnce();
commons.join(Number(arena), Number(bytes));
runSpawned(Number(record));
