import { readdirSync } from 'node:fs';
import os from 'node:os';
import { native } from '../native/native.js';

/*
 * Where and how eagerly a process runs. The kernel keeps both for each thread, and gives a new thread those of the one that
 * makes it: so all threads of a process are told.
 */

/** @throws {RangeError} */
export function checkPriority(nice: unknown): asserts nice is number {
  if (!(Number.isInteger(nice) && (nice as number) >= -20 && (nice as number) <= 19))
    throw new RangeError(`Cannot use ${String(nice)} as "priority": give a whole number from -20 to 19`);
}

/** @throws {RangeError} */
export function checkAffinity(cpus: unknown): asserts cpus is readonly number[] {
  if (
    !Array.isArray(cpus) ||
    cpus.length === 0 ||
    !cpus.every(cpu => Number.isInteger(cpu) && cpu >= 0 && cpu < MOST_CPUS)
  )
    throw new RangeError('Cannot use that as "affinity": give an array of CPU numbers, such as [0, 1]');
}

/** CPUs that a mask of the C library's can name (CPU_SETSIZE). */
const MOST_CPUS = 1024;

/** The nice value of process `pid`, whose name is `name` to people. */
export function setPriorityOf(pid: number, name: string, nice: number): void {
  try {
    eachThread(pid, tid => os.setPriority(tid, nice));
  } catch (cause) {
    const code = codeOf(cause);
    if (code !== 'EACCES' && code !== 'EPERM') throw cause;
    const way = 'give a value that is not lower, or the right to (CAP_SYS_NICE, or ulimit -e)';
    throw Object.assign(
      new Error(`Cannot set the priority of ${name} to ${nice} as that is not permitted: ${way}`, { cause }),
      { code },
    );
  }
}

/**
 * The CPUs that process `pid` may run on. Where there are some that it cannot have, it keeps those that it had.
 * @throws {RangeError} There are no such CPUs, or not for it.
 */
export function setAffinityOf(pid: number, name: string, cpus: readonly number[]): void {
  const before = native.getAffinity(pid);
  const missing = () => {
    const had = native.getAffinity(pid);
    return cpus.filter(cpu => !had.includes(cpu));
  };
  let refused: readonly number[];
  try {
    eachThread(pid, tid => native.setAffinity(tid, cpus));
    refused = missing();
    if (refused.length > 0) eachThread(pid, tid => native.setAffinity(tid, before));
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error;
    refused = cpus;
  }
  if (refused.length > 0)
    throw new RangeError(
      `Cannot run ${name} on CPU ${refused.join(', ')} as there is none of that number, or not for it: this machine has ${os.cpus().length}, counted from 0`,
    );
}

/**
 * Does `act` for each thread of process `pid`, also for those that come while it does so. A thread has what its maker had as it began
 * to make it, and is to be seen later: so all are told a second time.
 */
function eachThread(pid: number, act: (tid: number) => void): void {
  for (let round = 0; round < 2; round++) tellThreads(pid, act);
}

function tellThreads(pid: number, act: (tid: number) => void): void {
  const told = new Set<number>();
  for (;;) {
    const fresh = readdirSync(`/proc/${pid}/task`)
      .map(Number)
      .filter(tid => !told.has(tid));
    if (fresh.length === 0) return;
    for (const tid of fresh) {
      told.add(tid);
      try {
        act(tid);
      } catch (error) {
        // Others than the main thread may end meanwhile.
        if (tid === pid || codeOf(error) !== 'ESRCH') throw error;
      }
    }
  }
}

/** What the system said. Node wraps that in an error with a code of its own. */
function codeOf(error: unknown): string | undefined {
  const { code, info } = error as NodeJS.ErrnoException & { info?: { code: string } };
  return info?.code ?? code;
}
