/**
 * Two processes that never wait, on one CPU. The kernel lets each run for a slice of time, then takes the CPU away from it,
 * whether it likes it or not (preemption). Each writes its letter into the millisecond in which it runs: that draws the slices.
 */
import { Barrier, currentProcess, Process, SharedArray } from 'manyhands';

const MS = 100;
const drawing = new SharedArray('c', Buffer.from('.'.repeat(MS))); // '.': somebody else had the CPU
const together = new Barrier(2);

const draw = (letter: string) => {
  together.waitSync();
  for (const end = Date.now() + MS; Date.now() < end; ) drawing.set(Date.now() % MS, letter.charCodeAt(0));
  return process.resourceUsage().involuntaryContextSwitches > 0;
};
const affinity = currentProcess().affinity.slice(0, 1);
const [a, b] = ['A', 'B'].map(letter => new Process({ target: draw, args: [letter], affinity }).start());
const preempted = [await a.result(), await b.result()];
console.log(Buffer.from(drawing.view).toString());
console.log(`A was preempted: ${preempted[0]}, B was preempted: ${preempted[1]}`);

// Output:
// …
// A was preempted: true, B was preempted: true
