import { readFileSync } from 'node:fs';
import { native } from '../native/native.js';

/**
 * The states of a process, which are those of its main thread. 'new': not started. 'ready': waits for a CPU. 'running': on one;
 * where the kernel does not tell which (it was built without schedstat), 'ready' is 'running' too. 'sleeping': waits for something
 * else. 'stopped': suspended. 'zombie': ended and not yet reaped. 'terminated': ended.
 */
export type ProcessState = 'new' | 'ready' | 'running' | 'sleeping' | 'stopped' | 'zombie' | 'terminated';

/** What a process uses, at one instant. */
export interface ProcessUsage {
  /** CPU time of all its threads, ms, to the nanosecond. */
  cpu: number;
  /** Resident memory, bytes: what it shares with others included. */
  rss: number;
  /** Proportional memory, bytes: what is shared by n processes counts for one nth. */
  pss: number;
  /** How many threads it has, V8's among them. */
  threads: number;
  /** Nice value, −20 (first) to 19 (last). */
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
      return isWaiting(pid) ? 'ready' : 'running';
    default:
      return 'sleeping';
  }
}

/** How often to look again, should it come to a CPU between two looks. */
const LOOKS = 5;

/**
 * Does a process that could run wait for a CPU? The kernel counts how often it came to one, and how often it left: as often as it
 * came, unless it is on one now.
 */
function isWaiting(pid: number): boolean {
  try {
    const arrivals = () => Number(readFileSync(`/proc/${pid}/schedstat`, 'latin1').split(' ')[2]);
    for (let look = 0, before = arrivals(); look < LOOKS && before > 0; look++) {
      const status = readFileSync(`/proc/${pid}/status`, 'latin1');
      const after = arrivals();
      if (after === before) return after === departures(status);
      before = after;
    }
  } catch {} // the kernel does not count, or it ended in between
  return false;
}

function departures(status: string): number {
  let sum = 0;
  for (const [, count] of status.matchAll(/^(?:non)?voluntary_ctxt_switches:\s+(\d+)$/gm))
    sum += Number(count);
  return sum;
}

/** What process `pid` uses, now; undefined: it is gone. */
export function usageOf(pid: number): ProcessUsage | undefined {
  try {
    const cpu = native.cpuTime(pid);
    const memory = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    const stat = native.processStat(pid);
    if (!stat || stat[0] === 'Z') return undefined;
    const sizeOf = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(memory)?.[1] ?? 0) * 1024;
    return { cpu, rss: sizeOf('Rss'), pss: sizeOf('Pss'), threads: stat[4], priority: stat[3] };
  } catch {
    return undefined; // it ended in between
  }
}
