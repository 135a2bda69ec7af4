/*
 * Ten people want one of three tickets at once, with versions instead of a lock. Who buys names the version that was
 * looked at. If it is there no more, somebody was quicker, nothing is bought, and one looks again.
 */

import { Barrier, Process, SharedMap } from 'manyhands';

const tickets = new SharedMap([['left', 3]]);
const allHaveLooked = new Barrier(10);

async function person() {
  for (let tries = 1; ; tries++) {
    const seen = tickets.getEntry('left');
    if (tries === 1) await allHaveLooked.wait(); // all have seen the same version
    if (!seen || seen.value === 0) return { bought: false, tries };
    if (tickets.compareAndSet('left', seen.version, seen.value - 1)) return { bought: true, tries };
  }
}

const people = Array.from({ length: 10 }, () => new Process({ target: person }).start());
const results = await Promise.all(people.map(each => each.result()));
const buyers = results.filter(({ bought }) => bought);

console.log('bought at the first try:', buyers.filter(({ tries }) => tries === 1).length);
console.log('tickets sold:', buyers.length);
console.log('tickets left:', tickets.get('left'));

// Output:
// bought at the first try: 1
// tickets sold: 3
// tickets left: 0
