/*
 * Two forks in a row make four processes, not three. The second line is run by both that the first one left. Each says who it
 * is and what the two calls gave it. Started by `manyhands run`.
 */
import { fork, os } from 'manyhands';

const first = fork(); // one becomes two
const second = fork(); // two become four
console.log(`${process.pid}, child of ${process.ppid}: fork() gave ${first}, then ${second}`);

// A child waits for children of its own only: whom the second fork() made has none, whatever it remembers of the first.
const children = second === 0 ? [] : [first, second].filter(pid => pid !== 0);
for (const child of children) await os.waitpid(child);

// Unordered output:
// <original>, child of <starter>: fork() gave <A>, then <B>
// <A>, child of <original>: fork() gave 0, then <C>
// <B>, child of <original>: fork() gave <A>, then 0
// <C>, child of <A>: fork() gave 0, then 0
