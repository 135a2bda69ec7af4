/**
 * What the kernel says of a process, for the other programs here. Linux shows it as a file under /proc; `ps` reads the same
 * ones.
 */
import { readFileSync } from 'node:fs';

/** All that /proc/PID/status says, by name. Undefined: there is no such process. */
export function statusOf(pid: number | undefined): Record<string, string> | undefined {
  try {
    const lines = readFileSync(`/proc/${pid}/status`, 'utf8').trim().split('\n');
    return Object.fromEntries(lines.map(line => line.split(/:\s*/)));
  } catch {
    return undefined;
  }
}

/** The letter of its state and what that stands for: `S (sleeping)`. */
export const stateOf = (pid: number | undefined) => statusOf(pid)?.State;
