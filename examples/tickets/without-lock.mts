/*
 * Ten people want one of three tickets at once, and without a lock all ten get one. Each looks into the office's file, and
 * buys if there is a ticket left. That all look before the first has bought is bad luck, which the barrier makes certain.
 */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Barrier, Process } from 'manyhands';

const file = path.join(tmpdir(), `tickets-${process.pid}.json`);
const look = (): number => JSON.parse(readFileSync(file, 'utf8')).left;
const write = (left: number) => writeFileSync(file, JSON.stringify({ left }));

const allHaveLooked = new Barrier(10);

async function person() {
  const left = look();
  await allHaveLooked.wait();
  if (left > 0) write(left - 1);
  return left;
}

write(3);
const people = Array.from({ length: 10 }, () => new Process({ target: person }).start());
const seen = await Promise.all(people.map(each => each.result()));

console.log('tickets seen:', ...seen);
console.log('tickets sold:', seen.filter(left => left > 0).length);
console.log('tickets left, says the file:', look());
rmSync(file);

// Output:
// tickets seen: 3 3 3 3 3 3 3 3 3 3
// tickets sold: 10
// tickets left, says the file: 2
