/*
 * Ten people want one of three tickets at once, and with a lock three get one. To look and to buy is one critical
 * section, so nobody else looks between the two. Who comes first is chance.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Barrier, Lock, Process } from 'manyhands';

const file = path.join(tmpdir(), `tickets-${process.pid}.json`);
const look = (): number => JSON.parse(readFileSync(file, 'utf8')).left;
const write = (left: number) => writeFileSync(file, JSON.stringify({ left }));

const allAreHere = new Barrier(10);
const lock = new Lock();

async function person() {
  await allAreHere.wait();
  return await lock.runExclusive(() => {
    const left = look();
    if (left > 0) write(left - 1);
    return left;
  });
}

write(3);
const people = Array.from({ length: 10 }, () => new Process({ target: person }).start());
const seen = await Promise.all(people.map(each => each.result()));

console.log('tickets seen:', ...seen.sort().reverse());
console.log('tickets sold:', seen.filter(left => left > 0).length);
console.log('tickets left, says the file:', look());
rmSync(file);

// Output:
// tickets seen: 3 2 1 0 0 0 0 0 0 0
// tickets sold: 3
// tickets left, says the file: 0
