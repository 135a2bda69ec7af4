/*
 * Many look together, and one buys alone, with a readers-writer lock.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Barrier, Process, RWLock } from 'manyhands';

const file = path.join(tmpdir(), `tickets-${process.pid}.json`);
const look = (): number => JSON.parse(readFileSync(file, 'utf8')).left;
const write = (left: number) => writeFileSync(file, JSON.stringify({ left }));

const lock = new RWLock();
const allLook = new Barrier(10);

async function person() {
  let shown: number;
  {
    using _reading = await lock.read();
    shown = look();
    await allLook.wait(); // all ten hold the lock here: readers do not exclude each other
  }
  using _writing = await lock.write(); // nobody else reads or writes now
  const left = look(); // again: between the two, others have bought
  if (left > 0) write(left - 1);
  return { shown, left };
}

write(3);
const people = Array.from({ length: 10 }, () => new Process({ target: person }).start());
const seen = await Promise.all(people.map(each => each.result()));
const lefts = seen.map(({ left }) => left).sort();

console.log('seen while reading:', ...seen.map(({ shown }) => shown));
console.log('seen while writing:', ...lefts.reverse());
console.log('tickets sold:', lefts.filter(left => left > 0).length);
rmSync(file);

// Output:
// seen while reading: 3 3 3 3 3 3 3 3 3 3
// seen while writing: 3 2 1 0 0 0 0 0 0 0
// tickets sold: 3
