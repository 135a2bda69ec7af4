import { readFileSync } from 'node:fs';
import { native } from '../native/native.js';

/**
 * The states of a process. The kernel does not tell 'ready' from 'running': both are 'running' here, on a CPU or
 * waiting for one. 'new': not started. 'zombie': ended and not yet reaped. 'terminated': ended.
 */
export type ProcessState = 'new' | 'ready' | 'running' | 'sleeping' | 'stopped' | 'zombie' | 'terminated';

/** CPU time in ms; resident and proportional memory in bytes; threads; nice value. */
export interface ProcessUsage {
  cpu: number;
  rss: number;
  pss: number;
  threads: number;
  priority: number;
}

/** What the kernel says of process `pid`, now. */
export function stateOf(pid: number): ProcessState {
  switch (native.processStat(pid)?.[0]) {
    case undefined:
    case 'X':
    case 'x':
      return 'terminated';
    case 'Z':
      return 'zombie';
    case 'T':
    case 't':
      return 'stopped';
    case 'R':
      return 'running';
    default:
      return 'sleeping';
  }
}

/** Clock ticks a second in /proc: 100 on every Linux that Node runs on (USER_HZ). */
const TICKS = 100;

/** What process `pid` uses, now; undefined: it is gone. */
export function usageOf(pid: number): ProcessUsage | undefined {
  const stat = native.processStat(pid);
  if (!stat || stat[0] === 'Z') return undefined;
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
      .replace(/^.*\) /s, '')
      .split(' ');
    const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const sizeOf = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * 1024;
    return {
      cpu: ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS,
      rss: sizeOf('Rss'),
      pss: sizeOf('Pss'),
      threads: stat[4],
      priority: stat[3],
    };
  } catch {
    return undefined; // it ended in between
  }
}
