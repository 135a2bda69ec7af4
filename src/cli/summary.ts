import { cpuCount } from '../platform/resources.js';
import { count, duration, perSecond, type Standing } from './progress.js';

export interface SummaryFacts {
  readonly standing: Standing;
  /** Milliseconds from the command's start to its end. */
  readonly wall: number;
  /** Milliseconds until the first result was written. */
  readonly firstResult: number | undefined;
  readonly jobs: number;
  readonly kind: 'process' | 'thread';
}

/** What is told at the end: lines, each ended. */
export function summary({ standing, wall, firstResult, jobs, kind }: SummaryFacts): string {
  const { done, failed, passed, busy } = standing;
  const first = firstResult === undefined ? '' : `, the first after ${duration(firstResult)}`;
  const before = passed.count > 0 ? `, ${count(passed.count)} done before` : '';
  const workers = `${jobs} ${kind}${jobs === 1 ? '' : kind === 'process' ? 'es' : 's'}`;
  const cpu = kind === 'process' ? standing.cpu : ownCpu();
  return (
    `manyhands: ${count(done)} done, ${count(failed)} failed${before} in ${duration(wall)} (${perSecond(done + failed, wall)}${first})\n` +
    `manyhands: ${workers} worked ${duration(busy)}, ${duration(cpu)} of CPU time: ${speedUp(busy, cpu, wall, jobs).toFixed(2)} times one core\n`
  );
}

/**
 * How long one core would have taken, over how long it took. That is the time spent in tasks, unless workers waited
 * for processors rather than for anything else, being more than there are: then it is the processor time.
 */
function speedUp(busy: number, cpu: number, wall: number, jobs: number): number {
  const crowded = jobs > cpuCount() && cpu > 0.8 * wall * cpuCount();
  return (crowded ? cpu : busy) / wall;
}

/** Threads are this process: what it used is what they used, and what it took to feed them. */
function ownCpu(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
