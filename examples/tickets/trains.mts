/*
 * Tickets of many trains, with locks of rows and of the table. To sell a seat takes the row of that train; to count all
 * seats takes the table, shared with others who count; to move seats between trains takes the table alone.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Barrier, Process, TableLock, Value } from 'manyhands';

const folder = mkdtempSync(path.join(tmpdir(), 'trains-'));
const look = (train: string): number => JSON.parse(readFileSync(path.join(folder, train), 'utf8')).left;
const write = (train: string, left: number) =>
  writeFileSync(path.join(folder, train), JSON.stringify({ left }));

const trains = ['Bern', 'Lyon', 'Oslo', 'Rome'];
for (const train of trains) write(train, 20);
const railway = new TableLock();
const sold = new Value('i');
const allSell = new Barrier(5);

async function agent(train: string) {
  for (let n = 0; n < 10; n++) {
    using _row = await railway.row(train);
    if (n === 0) await allSell.wait(); // four agents have a row each: none waits for another
    write(train, look(train) - 1);
    sold.add(1);
  }
}

async function inspector() {
  using _table = await railway.table({ mode: 'shared' });
  return trains.reduce((sum, train) => sum + look(train), sold.value);
}

async function dispatcher() {
  using _table = await railway.table();
  write('Bern', look('Bern') - 5); // five seats are nowhere now, and nobody sees it
  write('Rome', look('Rome') + 5);
}

const agents = trains.map(train => new Process({ target: agent, args: [train] }).start());
await allSell.wait();
console.log('four agents sell at once');

const inspectors = [1, 2, 3].map(() => new Process({ target: inspector }).start());
const others = [...agents, new Process({ target: dispatcher }).start()];
console.log('inspectors count', ...(await Promise.all(inspectors.map(each => each.result()))));
await Promise.all(others.map(each => each.result()));
console.log('seats left:', ...trains.map(train => `${train} ${look(train)}`));
rmSync(folder, { recursive: true });

// Output:
// four agents sell at once
// inspectors count 80 80 80
// seats left: Bern 5 Lyon 10 Oslo 10 Rome 15
