import { afterEach } from 'node:test';
import { checkConsistency } from '../memory/consistency.js';
import { waitUntil } from './processes.js';

/**
 * Makes a test fail that leaves blocks in the commons, once those who sweep after the dead have had their time. Call it once,
 * at the top of a file.
 */
export function leavesNoBlocks(): void {
  afterEach(async () => {
    const left = () => {
      const { blocks, runs } = checkConsistency({ quiet: false });
      return { blocks, runs };
    };
    await waitUntil(
      () => left().blocks + left().runs === 0,
      () => `blocks of the commons to be freed: ${JSON.stringify(left())} are left`,
    );
  });
}
