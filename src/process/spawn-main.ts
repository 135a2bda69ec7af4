/* The main script of a spawned child. Its arguments: the arena's descriptor and size, and its process record. */
import * as commons from '../memory/commons.js';
import { runSpawned } from './child.js';
import { printAtOnce } from './printing.js';

const [arena, bytes, record, ...argv] = process.argv.slice(2);
process.argv = argv;
printAtOnce();
commons.join(Number(arena), Number(bytes));
runSpawned(Number(record));
