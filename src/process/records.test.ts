import assert from 'node:assert/strict';
import { test } from 'node:test';
import { words } from '../memory/commons.js';
import { HEADER, PROCESS, PROCESS_STATE } from '../memory/layout.js';
import { isKnownDead } from '../memory/participants.js';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitGone, waitUntil } from '../testing/processes.js';
import { LIMIT, warmCarriers } from '../testing/sharing.js';
import { OUTCOME, read, recordState } from './records.js';
import { Thread } from './thread.js';

/* What a process was told, and what it came to, when the thread that started it has ended: leavesNoBlocks() looks that all of it is freed. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

/** A thread that starts a process, tells its id, and reads nothing any more. */
function startDeaf(told: EventFlag, mayEnd: EventFlag): Thread<any, any> {
  const target = (began: EventFlag, goOn: EventFlag, library: string) => {
    const { Process: Child } = require(library) as typeof import('./process.js');
    const child = new Child({
      target: async (flag: EventFlag) => {
        await flag.wait();
        return 'x'.repeat(10_000);
      },
      args: [goOn],
    });
    child.start();
    began.set();
    for (;;); // it is terminated here
  };
  const args = [told, mayEnd, require.resolve('./process.js')] as const;
  return new Thread({ target, args: [...args] }).start();
}

/** The record of the one process under way, and which process that is. */
function underWay(): { index: number; pid: number } {
  for (let index = 0; index < words[HEADER.PROCESSES_USED]; index++)
    if (recordState(index) === PROCESS_STATE.RUNNING) return { index, pid: read(index, PROCESS.PID) };
  return assert.fail('none is under way');
}

test('a result that is there when its reader ends is freed', LIMIT, async () => {
  using began = new EventFlag();
  using goOn = new EventFlag();
  const thread = startDeaf(began, goOn);
  await began.wait();
  const { index, pid } = underWay();
  goOn.set();
  await waitUntil(
    () => read(index, PROCESS.OUTCOME) === OUTCOME.RETURNED,
    () => 'a result',
  );
  thread.terminate();
  await thread.join();
  await waitGone(pid);
});

test('a result that comes when its reader has ended is freed', LIMIT, async () => {
  using began = new EventFlag();
  using goOn = new EventFlag();
  const thread = startDeaf(began, goOn);
  await began.wait();
  const { index, pid } = underWay();
  const reader = read(index, PROCESS.OWNER);
  thread.terminate();
  await thread.join();
  assert.ok(isKnownDead(reader));
  goOn.set();
  await waitGone(pid);
  assert.equal(read(index, PROCESS.OUTCOME), OUTCOME.RETURNED);
});

test('what a process was to be told that was not started yet is freed', LIMIT, async () => {
  using done = new EventFlag();
  const thread = new Thread({
    target: (flag: EventFlag, library: string, field: number) => {
      const records = require(library) as typeof import('./records.js');
      records.put(records.claimRecord(), field, new Uint8Array(10_000), null);
      flag.set();
      for (;;); // it is terminated here
    },
    args: [done, require.resolve('./records.js'), PROCESS.PAYLOAD],
  }).start();
  await done.wait();
  thread.terminate();
  await thread.join();
});
