/*
 * apply() is one call at a time. Each is waited for before the next is given, so three workers are no quicker than one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'manyhands';

const work = async (task: number) => {
  console.log(`task ${task} begins in process ${process.pid}`);
  await sleep(50);
  return `task ${task} is done`;
};

const pool = new Pool(3);
console.log(`parent ${process.pid} gives the tasks`);
for (let task = 1; task <= 4; task++) console.log(await pool.apply(work, [task]));
pool.close(); // no more tasks
await pool.join(); // until the workers have ended
console.log(`parent ${process.pid} goes on`);

// Output:
// parent <parent> gives the tasks
// task 1 begins in process …
// task 1 is done
// task 2 begins in process …
// task 2 is done
// task 3 begins in process …
// task 3 is done
// task 4 begins in process …
// task 4 is done
// parent <parent> goes on
