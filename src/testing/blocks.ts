import { words } from '../memory/commons.js';
import { checkConsistency } from '../memory/consistency.js';
import { HEADER, PARTICIPANT, PARTICIPANT_STATE } from '../memory/layout.js';
import { record } from '../memory/participants.js';
import { blocksOfNodes } from '../wait/nodes.js';

/** How much is in use of the commons, besides the records of waits that living threads keep: small blocks and runs of pages. */
export function blocksInUse(): { readonly blocks: number; readonly runs: number } {
  const { blocks, runs } = checkConsistency({ quiet: false });
  let kept = 0;
  const used = Atomics.load(words, HEADER.PARTICIPANTS_USED);
  for (let index = 1; index < used; index++)
    if (Atomics.load(words, record(index) + PARTICIPANT.STATE) === PARTICIPANT_STATE.LIVE)
      kept += blocksOfNodes(index);
  return { blocks: blocks - kept, runs };
}

/** The same in one number. */
export function countInUse(): number {
  const { blocks, runs } = blocksInUse();
  return blocks + runs;
}
