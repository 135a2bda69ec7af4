/*
 * All ways to look for tickets and to buy them, measured. The figures are thousands of steps a second, of four processes
 * together; the first four ways keep a JSON file for each train, the others keep the seats in shared memory.
 */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import {
  Barrier,
  EventFlag,
  type Guard,
  Lock,
  Pool,
  RWLock,
  SharedArray,
  SharedMap,
  TableLock,
  Value,
} from 'manyhands';

const duration = process.argv.includes('--quick') ? 5 : 500; // ms
const PEOPLE = 4;
const TRAINS = 16;
const SEATS = 1_000_000_000;

const folder = mkdtempSync(path.join(tmpdir(), 'trains-'));
const fileOf = (train: number) => path.join(folder, `${train}.json`);
const slowness = new Value('i'); // ms that it takes to read a file, as from a disk far away
const never = new EventFlag();
const read = (train: number): number => {
  if (slowness.value > 0) never.waitSync({ timeout: slowness.value });
  return JSON.parse(readFileSync(fileOf(train), 'utf8')).left;
};
// In place, so that those who look without a lock find a number there at any moment, right or wrong.
const write = (train: number, left: number) =>
  writeFileSync(fileOf(train), JSON.stringify({ left }).padEnd(20), { flag: 'r+' });
const sell = (train: number) => write(train, read(train) - 1);

const lock = new Lock();
const rwLock = new RWLock();
const table = new TableLock();
const map = new SharedMap<number, number>();
const seats = new SharedArray('i', TRAINS);

function under<T>(guard: Guard, step: () => T): T {
  try {
    return step();
  } finally {
    guard.release();
  }
}

interface Way {
  look(train: number): number | undefined;
  buy(train: number): void;
}

const inFiles: Record<string, Way> = {
  'no lock': { look: read, buy: sell },
  Lock: {
    look: train => under(lock.acquireSync(), () => read(train)),
    buy: train => under(lock.acquireSync(), () => sell(train)),
  },
  RWLock: {
    look: train => under(rwLock.readSync(), () => read(train)),
    buy: train => under(rwLock.writeSync(), () => sell(train)),
  },
  'TableLock, rows': {
    look: train => under(table.rowSync(train), () => read(train)),
    buy: train => under(table.rowSync(train), () => sell(train)),
  },
};

const inMemory: Record<string, Way> = {
  compareAndSet: {
    look: train => map.get(train),
    buy(train) {
      for (;;) {
        const seen = map.getEntry(train);
        if (!seen || map.compareAndSet(train, seen.version, seen.value - 1)) return;
      }
    },
  },
  'SharedMap.update': {
    look: train => map.get(train),
    buy: train => void map.update(train, (left = 0) => left - 1),
  },
  'Atomics.sub': {
    look: train => Atomics.load(seats.view, train),
    buy: train => void Atomics.sub(seats.view, train, 1),
  },
};

const allAreHere = new Barrier(PEOPLE);

/** One person, who looks so often before each purchase. Tells how many steps that were in a ms. */
async function person({ look, buy }: Way, trains: number, looks: number) {
  const anyTrain = () => Math.floor(Math.random() * trains);
  let bought = 0;
  await allAreHere.wait();
  const start = performance.now();
  let end = start;
  while (end < start + duration) {
    for (let n = 0; n < looks; n++) look(anyTrain());
    buy(anyTrain());
    bought++;
    end = performance.now();
  }
  return { bought, rate: (bought * (looks + 1)) / (end - start) };
}

const pool = new Pool(PEOPLE);
let sold = 0;

/** Steps of all people a ms. */
async function measure(way: Way, { trains = 1, looks = 0, slow = 0 }) {
  slowness.value = slow;
  const people = Array.from({ length: PEOPLE }, () => pool.run(person, [way, trains, looks]));
  const results = await Promise.all(people);
  slowness.value = 0;
  for (const { bought } of results) sold += bought;
  return results.reduce((sum, { rate }) => sum + rate, 0);
}

const print = (name: string, ...cells: string[]) =>
  console.log(name.padEnd(16), ...cells.map(cell => cell.padStart(9)));
const show = (rate: number) =>
  rate ? rate.toLocaleString('en', { maximumSignificantDigits: rate < 1000 ? 2 : 3 }) : '-';

print('', '1 train', '16 trains', '9 looks', 'slow', 'lost');
for (const [name, way] of Object.entries({ ...inFiles, ...inMemory })) {
  sold = 0;
  for (let train = 0; train < TRAINS; train++) {
    writeFileSync(fileOf(train), JSON.stringify({ left: SEATS }).padEnd(20));
    map.set(train, SEATS);
    seats.set(train, SEATS);
  }
  const rates = [
    await measure(way, {}),
    await measure(way, { trains: TRAINS }),
    await measure(way, { looks: 9 }),
    name in inFiles ? await measure(way, { looks: 9, slow: 1 }) : 0,
  ];
  let gone = 0;
  for (let train = 0; train < TRAINS; train++) gone += SEATS - (way.look(train) ?? 0);
  print(name, ...rates.map(show), `${sold - gone}`);
}
await pool.terminate();
rmSync(folder, { recursive: true });

// Output of --quick:
//                    1 train 16 trains   9 looks      slow      lost
// no lock          …
// Lock             …         0
// RWLock           …         0
// TableLock, rows  …         0
// compareAndSet    …         0
// SharedMap.update …         0
// Atomics.sub      …         0
