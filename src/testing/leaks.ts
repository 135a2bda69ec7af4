import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { words } from '../memory/commons.js';
import { HEADER, PARTICIPANT } from '../memory/layout.js';
import { isKnownDead, record, tagOf } from '../memory/participants.js';
import { native } from '../native/native.js';
import { releaseReserve } from '../process/reserve.js';
import { descendants, inspectProcess, marked } from './processes.js';

/** Carried by every process a test file gives birth to, so that orphans are found too. The test script sets the first part. */
const MARK = 'MANYHANDS_TEST_RUN';

/** Files that tools, not tests, put into the folder for temporary files. */
const TOOLS_FILES = /^(tsx-|node-compile-cache)/;

/** How a leak is known again, and what to call it. */
type Inventory = Map<string, string>;

/**
 * Makes a test file fail if it leaves anything behind: a process (orphans included), a thread, a handle on the event loop,
 * a descriptor, a file in the folder for temporary files or the library's in /dev/shm. Call it once, at the top of the file.
 *
 * The check comes after the file's last `after()` hook and waits up to `timeout` ms (5,000) for things to end. `os.tmpdir()`
 * is a folder of the file's own from this call on. Processes found are killed, so that they do not disturb other files.
 *
 * Before each test it writes down its name for the test script, which tells where a file is stuck.
 *
 * What the library keeps on purpose for as long as a process lives, as its fork server, is started by `warm` and belongs
 * to the file's start; the test script looks, after all files, that this has ended too. Workers booted ahead of need are let go.
 */
export function leavesNothing({
  warm,
  timeout = 5000,
}: {
  warm?: () => unknown;
  timeout?: number;
} = {}): void {
  const mark = `${process.env[MARK] ?? 'alone'}/${process.pid}.`;
  process.env[MARK] = mark;
  const temporary = mkdtempSync(path.join(tmpdir(), 'manyhands-test-'));
  process.env.TMPDIR = temporary;
  let baseline: Inventory = new Map();

  before(async () => {
    await openWhatNodeOpensLazily();
    await warm?.();
    baseline = inventory(mark, temporary, { isEnd: false });
  });

  const places = process.env.MANYHANDS_TEST_PLACES;
  if (places) {
    const place = path.join(places, String(process.pid));
    beforeEach(context => writeFileSync(place, (context as { name: string }).name));
  }

  // Hooks run in the order they were given: by the next tick the file has given all of its own.
  process.nextTick(() =>
    after(async () => {
      try {
        const left = await waitForEnd(
          () => newSince(baseline, inventory(mark, temporary, { isEnd: true })),
          timeout,
        );
        killProcesses(left);
        if (left.size > 0) {
          process.exitCode = 1;
          throw new Error(
            `This file leaves behind:\n${[...left.values()].map(name => `  ${name}`).join('\n')}`,
          );
        }
      } finally {
        rmSync(temporary, { recursive: true, force: true });
      }
    }),
  );
}

async function waitForEnd(look: () => Inventory, timeout: number): Promise<Inventory> {
  const deadline = performance.now() + timeout;
  let left = look();
  while (left.size > 0 && performance.now() < deadline) {
    await sleep(10);
    left = look();
  }
  return left;
}

/** What would otherwise look like a leak of the test that came first. */
async function openWhatNodeOpensLazily(): Promise<void> {
  await stat('/'); // the thread pool
  const nothing = () => {};
  process.on('SIGWINCH', nothing).off('SIGWINCH', nothing); // the pipe by which signals reach the event loop
  void process.stdout;
  void process.stderr;
}

/** Is it kept to ring a thread that is alive, such as one of the fork server's reserve? */
function isBell(target: string): boolean {
  const inode = Number(/^pipe:\[(\d+)\]$/.exec(target)?.[1]) | 0;
  if (inode === 0 || words.length === 0) return false;
  for (let index = 1; index < Atomics.load(words, HEADER.PARTICIPANTS_USED); index++)
    if (words[record(index) + PARTICIPANT.DOORBELL_INODE] === inode && !isKnownDead(tagOf(index)))
      return true;
  return false;
}

function inventory(mark: string, temporary: string, { isEnd }: { isEnd: boolean }): Inventory {
  const found: Inventory = new Map();
  releaseReserve();
  if (native.arenaFd() >= 0) native.dropBells(); // of those that have left in order: kept until their place is taken
  for (const { pid, startTime, state, command } of [...descendants(), ...marked(MARK, mark)]) {
    if (isInReserve(pid)) continue;
    found.set(
      `process ${pid} ${startTime}`,
      `process ${pid} (${state === 'Z' ? 'zombie' : state}): ${command}`,
    );
  }
  for (const thread of readdirSync('/proc/self/task')) {
    found.set(`thread ${thread}`, `thread ${thread}: ${nameOfThread(thread)}`);
  }
  const counts = new Map<string, number>();
  for (const resource of process.getActiveResourcesInfo()) {
    const count = (counts.get(resource) ?? 0) + 1;
    counts.set(resource, count);
    found.set(`resource ${resource} ${count}`, `resource on the event loop: ${resource}`);
  }
  for (const descriptor of readdirSync('/proc/self/fd')) {
    const target = targetOfDescriptor(descriptor);
    if (target !== null && !(isEnd && isBell(target)))
      found.set(`descriptor ${descriptor} ${target}`, `descriptor ${descriptor}: ${target}`);
  }
  for (const file of readdirSync(temporary)) {
    if (!TOOLS_FILES.test(file)) found.set(`file ${file}`, `temporary file ${path.join(temporary, file)}`);
  }
  for (const file of readdirSync('/dev/shm')) {
    if (file.includes('manyhands')) found.set(`shm ${file}`, `file /dev/shm/${file}`);
  }
  return found;
}

/** Is it a child that the fork server keeps ready? They come and go, and end with the server, which is watched. */
function isInReserve(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'mh-reserve\n';
  } catch {
    return false; // it has ended meanwhile
  }
}

function newSince(baseline: Inventory, now: Inventory): Inventory {
  return new Map([...now].filter(([key]) => !baseline.has(key)));
}

function killProcesses(left: Inventory): void {
  for (const key of left.keys()) {
    const [kind, pid, startTime] = key.split(' ');
    if (kind !== 'process' || inspectProcess(Number(pid))?.startTime !== Number(startTime)) continue;
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {
      // it ended just now
    }
  }
}

function nameOfThread(thread: string): string {
  try {
    return readFileSync(`/proc/self/task/${thread}/comm`, 'utf8').trim();
  } catch {
    return 'ending';
  }
}

/** Null for the descriptor that read the folder itself, closed by now. */
function targetOfDescriptor(descriptor: string): string | null {
  try {
    return readlinkSync(`/proc/self/fd/${descriptor}`);
  } catch {
    return null;
  }
}
