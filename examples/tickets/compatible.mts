/*
 * Which locks of a table can be held beside which. Each is held in turn, and all are tried by others.
 */

import { TableLock } from 'manyhands';

const table = new TableLock();
const now = { timeout: 0 }; // do not wait
const locks = {
  'row 1': () => table.row(1, now),
  'row 2': () => table.row(2, now),
  shared: () => table.table({ ...now, mode: 'shared' }),
  exclusive: () => table.table(now),
};

const attempt = async (acquire: () => ReturnType<TableLock['row']>) => {
  try {
    using _guard = await acquire();
    return 'goes';
  } catch {
    return 'waits';
  }
};
const print = (first: string, cells: string[]) =>
  console.log(first.padEnd(9), ...cells.map(cell => cell.padStart(9)));

print('held', Object.keys(locks));
for (const [name, hold] of Object.entries(locks)) {
  using _held = await hold();
  const answers: string[] = [];
  for (const acquire of Object.values(locks)) answers.push(await attempt(acquire));
  print(name, answers);
}

// Output:
// held          row 1     row 2    shared exclusive
// row 1         waits      goes     waits     waits
// row 2          goes     waits     waits     waits
// shared        waits     waits      goes     waits
// exclusive     waits     waits     waits     waits
