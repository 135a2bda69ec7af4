import { afterEach } from 'node:test';
import { words } from '../memory/commons.js';
import { checkConsistency } from '../memory/consistency.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE } from '../memory/layout.js';
import { record } from '../memory/participants.js';
import { native } from '../native/native.js';
import { blocksOfNodes } from '../wait/nodes.js';
import { waitUntil } from './processes.js';

/**
 * Makes a test fail that leaves blocks in the commons, once those who sweep after the dead have had their time. The records of
 * waits that living threads keep for reuse do not count. Call it once, at the top of a file.
 */
export function leavesNoBlocks(): void {
  afterEach(async () => {
    native.ringAll(0); // closes what is kept to ring those who have ended, or leavesNothing() would find it
    const left = () => {
      const { blocks, runs } = checkConsistency({ quiet: false });
      return { blocks: blocks - kept(), runs };
    };
    await waitUntil(
      () => left().blocks + left().runs === 0,
      () => `blocks of the commons to be freed: ${JSON.stringify(left())} are left`,
    );
  });
}

/** How many blocks living threads keep for their waits. */
function kept(): number {
  let count = 0;
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++)
    if (Atomics.load(words, record(index) + PARTICIPANT.STATE) === PARTICIPANT_STATE.LIVE)
      count += blocksOfNodes(index);
  return count;
}
