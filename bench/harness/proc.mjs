/** What the kernel tells of processes. Everything here is true only of the moment it was read. */
import { readdirSync, readFileSync } from 'node:fs';

/** What the kernel counts CPU time in towards programs, µs: 100 a second on every Linux that Node runs on. */
const TICK = 10_000;

/** The processes whose environment has `entry`, which their children inherit: whoever belongs to one run. */
export function processesMarked(entry) {
  return allPids().filter(pid => {
    try {
      return `\0${readFileSync(`/proc/${pid}/environ`, 'latin1')}`.includes(`\0${entry}\0`);
    } catch {
      return false;
    }
  });
}

/** Ended children of these processes that nobody has reaped. */
export function zombiesOf(parents) {
  const family = new Set(parents);
  return allPids().filter(pid => {
    const [state, parent] = statOf(pid);
    return state === 'Z' && family.has(Number(parent));
  });
}

/**
 * The CPU time that it has had, with all its threads, µs, to within the kernel's clock tick of 10 ms. `pid` may be `self`,
 * or `self/task/1`, which is one thread's. 0 when it has ended.
 */
export function cpuOf(pid) {
  const [user = 0, system = 0] = statOf(pid).slice(11);
  return (Number(user) + Number(system)) * TICK;
}

/**
 * Its memory in MiB: proportional (shared pages divided by their users), its own alone, resident, and of the proportional
 * one what was written rather than mapped from files, which does not change with who else runs the same program.
 */
export function memoryOf(pid) {
  const text = read(`/proc/${pid}/smaps_rollup`);
  const field = name =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN) / 1024;
  return {
    pss: field('Pss'),
    uss: field('Private_Clean') + field('Private_Dirty'),
    rss: field('Rss'),
    written: field('Pss_Anon') + field('Pss_Shmem'),
  };
}

export function descriptorsOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** The fields that follow its name, which may have blanks in it. */
function statOf(pid) {
  const stat = read(`/proc/${pid}/stat`);
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

function allPids() {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .map(Number);
}

function read(file) {
  try {
    return readFileSync(file, 'latin1');
  } catch {
    return '';
  }
}
