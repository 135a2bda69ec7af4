import { rehearseChannels } from '../channel/rehearse.js';
import { encode } from '../codec/encode.js';
import { PROCESS } from '../memory/layout.js';
import { native } from '../native/native.js';
import { rehearseWaits } from '../sync/rehearse.js';
import { forgetDeaths } from '../wait/deaths.js';
import { depart } from '../wait/depart.js';
import { randomGenerator } from './after-fork.js';
import { packPayload, runForked, unprepare } from './child.js';
import { forgetChildren, livingChildren } from './children.js';
import { startOfProcess } from './identity.js';
import { rehearsePrinting } from './printing.js';
import { claimRecord, put, releaseRecord } from './records.js';
import { rehearsedClosure, TIMES } from './rehearsed-closure.js';

/*
 * What the fork server does before it serves, so that its children need not. Half of the time that a child takes would
 * else go into compiling the functions that all of them run, and into collecting the server's garbage: both write to
 * pages that were shared up to then.
 */

/** Lives a child's life, from its payload to its end, and undoes what that leaves. */
export async function rehearse(): Promise<void> {
  for (let i = 0; i < TIMES; i++) await liveOnce(rehearseUse);
}

async function rehearseUse(): Promise<void> {
  await rehearseWaits();
  await rehearseChannels();
  rehearsePrinting();
}

/** In the server's first child: does what all will do, for the server to learn which pages that takes. */
export async function rehearseAsChild(): Promise<never> {
  await liveOnce();
  try {
    native.tellPages();
  } catch {} // the server is gone, or the kernel does not say: then children take page faults
  return native.exit(0);
}

/** `work`: what a child may do besides, and need not. */
async function liveOnce(work?: () => Promise<void>): Promise<void> {
  const listeners = new Map(
    ['exit', 'uncaughtException'].map(event => [event, process.listeners(event as 'exit')]),
  );
  const { title } = process;
  const record = claimRecord();
  const identity = {
    name: 'rehearsal',
    path: '0',
    daemon: true,
    bound: true,
    parent: { pid: process.pid, start: startOfProcess(), name: 'server' },
  };
  const settings = { identity, startMethod: 'forkserver', cwd: process.cwd() } as const;
  const task = encode({ target: rehearsedClosure(), args: [1, 'b'] }, { root: '' });
  put(record, PROCESS.PAYLOAD, packPayload(settings, task), null);
  randomGenerator()();
  await runForked(record);
  await work?.();
  rehearseExit();
  livingChildren();
  releaseRecord(record);
  depart({ last: false });
  forgetDeaths();
  forgetChildren();
  unprepare();
  for (const [event, before] of listeners) {
    process.removeAllListeners(event);
    for (const listener of before) process.on(event, listener);
  }
  process.title = title;
  // The doorbell's watcher is closed on the loop's next turn.
  await new Promise(resolve => setImmediate(resolve));
}

/** process.exit() with nobody listening, and without its last step. */
function rehearseExit(): void {
  const own = process as unknown as { reallyExit(code: number): void; _exiting: boolean };
  const { reallyExit } = own;
  process.removeAllListeners('exit');
  own.reallyExit = () => {};
  try {
    process.emit('beforeExit', 0);
    process.exit();
  } finally {
    own.reallyExit = reallyExit;
    own._exiting = false;
  }
}
