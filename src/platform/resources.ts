import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import path from 'node:path';

/** Where facts about the machine come from; a test gives its own. */
export interface Machine {
  /** The text of a file of the kernel's. Throws if there is none. */
  readFile(path: string): string;
  /** CPUs in this process's affinity mask. */
  parallelism(): number;
  /** Physical memory, in bytes. */
  totalMemory(): number;
}

const thisMachine: Machine = {
  readFile: file => readFileSync(file, 'utf8'),
  parallelism: availableParallelism,
  totalMemory: totalmem,
};

/**
 * CPUs this process may use: its affinity mask, and the time quota of every cgroup it is in, counted in. At least 1; a
 * quota of 1.5 CPUs counts as 2, since one worker could not use it up. Read anew at each call.
 */
export function cpuCount(): number;
/** @internal */
export function cpuCount(machine?: Machine): number;
export function cpuCount(machine: Machine = thisMachine): number {
  let cpus = machine.parallelism();
  for (const group of groups(machine, 'cpu')) {
    const quota = cpuQuota(machine, group);
    if (quota !== null) cpus = Math.min(cpus, Math.ceil(quota));
  }
  return Math.max(1, cpus);
}

/** Bytes of memory this process may ever have: physical memory, or the least limit of its cgroups. */
export function memoryLimit(machine: Machine = thisMachine): number {
  let limit = machine.totalMemory();
  for (const group of groups(machine, 'memory')) {
    limit = Math.min(limit, number(machine, group.file('memory.max', 'memory.limit_in_bytes')) ?? limit);
  }
  return limit;
}

/** Bytes that could be taken now without swapping or meeting a limit. Stale once read. */
export function memoryAvailable(machine: Machine = thisMachine): number {
  let available = machine.totalMemory();
  const free = /^MemAvailable:\s+(\d+) kB$/m.exec(read(machine, '/proc/meminfo') ?? '');
  if (free) available = Number(free[1]) * 1024;
  for (const group of groups(machine, 'memory')) {
    const limit = number(machine, group.file('memory.max', 'memory.limit_in_bytes'));
    const used = number(machine, group.file('memory.current', 'memory.usage_in_bytes'));
    if (limit === null || used === null) continue;
    // Cache of files is counted as used, yet the kernel drops it before it refuses memory.
    const stat = read(machine, group.file('memory.stat', 'memory.stat')) ?? '';
    const cache = /^(?:total_)?inactive_file (\d+)$/m.exec(stat);
    available = Math.min(available, limit - used + (cache ? Number(cache[1]) : 0));
  }
  return Math.max(0, available);
}

interface Group {
  /** The path of a control file, by its name in version 2 or version 1 of cgroups. */
  file(v2: string, v1: string): string;
}

/**
 * The cgroups that limit this process for one controller, innermost first: limits add up along the way to the root. Inside
 * a container the path in /proc/self/cgroup may be the host's, of which only the mount's root is to be seen.
 */
function groups(machine: Machine, controller: 'cpu' | 'memory'): Group[] {
  const found: Group[] = [];
  for (const line of (read(machine, '/proc/self/cgroup') ?? '').split('\n')) {
    const [, id, controllers, inner] = /^(\d+):([^:]*):(\/.*)$/.exec(line) ?? [];
    if (id === undefined || controllers === undefined || inner === undefined) continue;
    const v2 = id === '0' && controllers === '';
    if (!v2 && !controllers.split(',').includes(controller)) continue;
    const mount = v2 ? '/sys/fs/cgroup' : `/sys/fs/cgroup/${controller}`;
    for (let at = path.posix.normalize(inner); ; at = path.posix.dirname(at)) {
      const folder = path.posix.join(mount, at);
      found.push({ file: (name2, name1) => path.posix.join(folder, v2 ? name2 : name1) });
      if (at === '/') break;
    }
  }
  return found;
}

function cpuQuota(machine: Machine, group: Group): number | null {
  // Version 2 has "max 100000" or "150000 100000" in one file, version 1 two files with -1 for no limit.
  const max = /^(\d+) (\d+)/.exec(read(machine, group.file('cpu.max', 'cpu.max')) ?? '');
  if (max) return Number(max[1]) / Number(max[2]);
  const quota = number(machine, group.file('cpu.cfs_quota_us', 'cpu.cfs_quota_us'));
  const period = number(machine, group.file('cpu.cfs_period_us', 'cpu.cfs_period_us'));
  return quota !== null && period !== null && quota > 0 && period > 0 ? quota / period : null;
}

/** The number in a file, or null if there is no such file, or it says "max". */
function number(machine: Machine, file: string): number | null {
  const text = read(machine, file)?.trim();
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : null;
}

function read(machine: Machine, file: string): string | null {
  try {
    return machine.readFile(file);
  } catch {
    return null;
  }
}
