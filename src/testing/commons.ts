import { afterEach } from 'node:test';
import { native } from '../native/native.js';
import { blocksInUse, countInUse } from './blocks.js';
import { waitUntil } from './processes.js';

/**
 * Makes a test fail that leaves blocks in the commons, once those who sweep after the dead have had their time. The records of
 * waits that living threads keep for reuse do not count. Call it once, at the top of a file.
 */
export function leavesNoBlocks(): void {
  afterEach(async () => {
    native.ringAll(0); // closes what is kept to ring those who have ended, or leavesNothing() would find it
    await waitUntil(
      () => countInUse() === 0,
      () => `blocks of the commons to be freed: ${JSON.stringify(blocksInUse())} are left`,
    );
  });
}
