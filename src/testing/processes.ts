import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process as /proc tells it. */
export interface ProcessInfo {
  readonly pid: number;
  readonly parent: number;
  readonly group: number;
  readonly session: number;
  /** One letter: R running, S sleeping, D in the kernel, T stopped, Z ended but not yet reaped. */
  readonly state: string;
  /** In clock ticks since boot: with `pid`, it names a process for good. */
  readonly startTime: number;
  /** Arguments joined by blanks; the bare name in brackets for one that has none, as a zombie. */
  readonly command: string;
}

/** What /proc knows of a process, or null if it is gone without a trace. */
export function inspectProcess(pid: number): ProcessInfo | null {
  const stat = readProc(`${pid}/stat`);
  if (stat === null) return null;
  // The name may hold anything, brackets and blanks included: fields count from its last bracket.
  const nameEnd = stat.lastIndexOf(')');
  const fields = stat.slice(nameEnd + 2).split(' ');
  const words = (readProc(`${pid}/cmdline`) ?? '').split('\0').filter(word => word !== '');
  return {
    pid,
    parent: Number(fields[1]),
    group: Number(fields[2]),
    session: Number(fields[3]),
    state: fields[0] ?? '?',
    startTime: Number(fields[19]),
    command: words.join(' ') || `[${stat.slice(stat.indexOf('(') + 1, nameEnd)}]`,
  };
}

/** Has any process a descriptor of a deleted file, or memory, whose name ends like this? */
export function isOpenAnywhere(end: string): boolean {
  return entries('/proc')
    .filter(pid => /^\d+$/.test(pid))
    .some(pid =>
      entries(`/proc/${pid}/fd`).some(fd => target(`/proc/${pid}/fd/${fd}`).endsWith(`${end} (deleted)`)),
    );
}

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // its process has ended
  }
}

function target(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    return ''; // closed meanwhile
  }
}

/** The state letter of a process, or null if it is gone. */
export function state(pid: number): string | null {
  return inspectProcess(pid)?.state ?? null;
}

/** Whether a process still runs. One that has ended does not, reaped or not. */
export function alive(pid: number): boolean {
  const letter = state(pid);
  return letter !== null && letter !== 'Z' && letter !== 'X';
}

/** Every process there is. */
export function allProcesses(): ProcessInfo[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(name => inspectProcess(Number(name)))
    .filter(info => info !== null);
}

/** Processes whose parent is `pid`, zombies included. */
export function children(pid = process.pid): ProcessInfo[] {
  return allProcesses().filter(info => info.parent === pid);
}

/** Children, their children and so on. Orphans have another parent by now: `marked()` finds those. */
export function descendants(pid = process.pid): ProcessInfo[] {
  const all = allProcesses();
  const family = new Set([pid]);
  for (let before = 0; before !== family.size; ) {
    before = family.size;
    for (const info of all) if (family.has(info.parent)) family.add(info.pid);
  }
  return all.filter(info => info.pid !== pid && family.has(info.pid));
}

/** Processes born with `variable` set to `value`, or to something that begins with it. Not this process itself. */
export function marked(variable: string, value: string): ProcessInfo[] {
  return allProcesses().filter(
    info =>
      info.pid !== process.pid && `\0${readProc(`${info.pid}/environ`)}`.includes(`\0${variable}=${value}`),
  );
}

/** Resolves once the process has ended. Rejects, telling its state, if that takes longer than `timeout` ms. */
export async function waitGone(pid: number, timeout = 5000): Promise<void> {
  await waitUntil(
    () => !alive(pid),
    () => `process ${pid} (${state(pid)}) to end`,
    timeout,
  );
}

/** Resolves once `done()`; for what sends no event. Rejects, saying what was waited for, after `timeout` ms. */
export async function waitUntil(
  done: () => boolean,
  what: string | (() => string),
  timeout = 5000,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!done()) {
    if (performance.now() > deadline) {
      throw new Error(`Waited ${timeout} ms in vain for ${typeof what === 'string' ? what : what()}`);
    }
    await sleep(5);
  }
}

function readProc(path: string): string | null {
  try {
    return readFileSync(`/proc/${path}`, 'utf8');
  } catch {
    return null; // gone, or another user's
  }
}
