/** Fails, naming the import, if a source file imports upwards or in a circle. */
import path from 'node:path';
import { findFaults } from './layers.mjs';

const faults = findFaults(path.resolve(import.meta.dirname, '../src'));
for (const fault of faults) console.error(`src/${fault}`);
process.exitCode = faults.length > 0 ? 1 : 0;
