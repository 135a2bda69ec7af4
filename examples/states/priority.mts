/**
 * Two processes on one CPU, one of which is nicer to the other. With the nice value 10 it gets about a tenth of what the one
 * with 0 gets.
 */
import { Barrier, currentProcess, EventFlag, Process } from 'manyhands';

const together = new Barrier(2);
const enough = new EventFlag();

/** Computes until one of the two has used 200 ms of CPU time. Returns how much this one has used. */
const compute = () => {
  together.waitSync();
  const before = process.cpuUsage();
  let used = 0;
  while (used < 200 && !enough.isSet()) {
    const { user, system } = process.cpuUsage(before);
    used = (user + system) / 1000;
  }
  enough.set();
  return Math.round(used);
};
const affinity = currentProcess().affinity.slice(0, 1);
const [first, nice] = [0, 10].map(priority => new Process({ target: compute, affinity, priority }).start());
const [most, rest] = [await first.result(), await nice.result()];
console.log(`nice value 0: ${most} ms of the CPU, nice value 10: ${rest} ms`);
console.log(`the first got more than twice as much: ${most > 2 * rest}`);

// Output:
// nice value 0: … ms of the CPU, nice value 10: … ms
// the first got more than twice as much: true
