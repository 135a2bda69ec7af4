/*
 * applyAsync() gives a task and goes on. Three tasks run at a time, one in each worker. What they come to goes to callbacks,
 * which run in the parent.
 */
import { Barrier, Pool } from 'manyhands';

const parent = process.pid;
using three = new Barrier(3);

const work = async (task: number) => {
  await three.wait(); // lets nobody on until three are here: proof that three tasks run at the same time
  if (task === 6) throw new RangeError('task 6 is one too many');
  return { task, worker: process.pid };
};

const pool = new Pool(3);
for (let task = 1; task <= 6; task++)
  pool.applyAsync(work, [task], {
    callback: ({ task, worker }) => {
      const where = process.pid === parent && worker !== parent ? 'in the parent' : 'elsewhere';
      console.log(`task ${task} was done by ${worker}, its callback runs ${where}, ${process.pid}`);
    },
    errorCallback: error => console.log(`${error}, heard by ${process.pid}`),
  });
pool.close();
console.log(`parent ${parent} has given all tasks`);
await pool.join(); // the callbacks have run by then
console.log(`parent ${parent} goes on`);

// Output:
// parent <parent> has given all tasks
// Unordered output:
// task 1 was done by …, its callback runs in the parent, <parent>
// task 2 was done by …, its callback runs in the parent, <parent>
// task 3 was done by …, its callback runs in the parent, <parent>
// task 4 was done by …, its callback runs in the parent, <parent>
// task 5 was done by …, its callback runs in the parent, <parent>
// RangeError: task 6 is one too many, heard by <parent>
// Output:
// parent <parent> goes on
