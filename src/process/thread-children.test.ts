import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { words } from '../memory/commons.js';
import { HEADER, PROCESS, PROCESS_STATE } from '../memory/layout.js';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { alive, state, waitGone, waitUntil } from '../testing/processes.js';
import { carriers, warm } from './fixtures/methods.js';
import { read, recordState } from './records.js';
import type { StartMethod } from './start-method.js';
import { Thread } from './thread.js';

/* What becomes of the processes that a thread has started when it ends before them. */
leavesNothing({ warm });
leavesNoBlocks();

const limit = { timeout: 30_000 };
const methods = require.resolve('./fixtures/methods.js');

/** Starts a process that ends with `flag`, and a daemon that never does; then does as it is told. Their pids. */
async function startBoth(library: string, method: StartMethod, flag: EventFlag, then: string) {
  const Carrier = (require(library) as typeof import('./fixtures/methods.js')).carriers.get(method);
  if (!Carrier) throw new Error(`There is no start method ${method}`);
  const target = (flag: EventFlag) => flag.wait();
  const child = new Carrier({ target, args: [flag] }).start();
  const daemon = new Carrier({
    target: () => new Promise(() => setInterval(() => {}, 1000)),
    daemon: true,
  }).start();
  if (then === 'leaves') child.unref();
  return [child.pid as number, daemon.pid as number];
}

/** Is a process with this pid known still? */
function isRecorded(pid: number): boolean {
  for (let index = 0; index < words[HEADER.PROCESSES_USED]; index++)
    if (read(index, PROCESS.PID) === pid && recordState(index) === PROCESS_STATE.RUNNING) return true;
  return false;
}

for (const method of carriers.keys())
  describe(`a thread with processes by ${method}`, () => {
    const start = (flag: EventFlag, then: string) =>
      new Thread({ target: startBoth, args: [methods, method, flag, then] as const }).start();

    test(
      'that has nothing else to do waits for those that are no daemons, and ends the others',
      limit,
      async () => {
        using flag = new EventFlag();
        const thread = start(flag, 'waits');
        const [child, daemon] = await thread.result();
        assert.equal(await thread.join({ timeout: 50 }), false);
        assert.ok(alive(child) && alive(daemon));
        flag.set();
        await thread.join();
        assert.equal(state(child), null);
        await waitUntil(() => state(daemon) === null, 'its daemon to be gone');
      },
    );

    for (const then of ['leaves', 'is terminated'])
      test(
        `that ${then} lets them live on, and ends its daemons; neither leaves a zombie`,
        limit,
        async () => {
          using flag = new EventFlag();
          const thread = start(flag, then);
          const [child, daemon] = await thread.result();
          if (then === 'is terminated') thread.terminate();
          await thread.join();
          await waitGone(daemon);
          await waitUntil(() => state(daemon) === null, 'its daemon to be gone');
          assert.ok(alive(child));
          flag.set();
          await waitUntil(
            () => state(child) === null,
            () => `process ${child} (${state(child)}) to be gone`,
          );
          await waitUntil(() => !isRecorded(child) && !isRecorded(daemon), 'their ends to be written down');
        },
      );
  });
