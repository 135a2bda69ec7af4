/*
 * map() calls one function with many items. The workers share them, in any order; the results come in the order of the items.
 */
import { LifecycleError, Pool } from 'manyhands';

const square = (n: number) => {
  console.log(`${n} in worker ${process.pid}`);
  return n * n;
};

const pool = new Pool(3);
console.log(await pool.map(square, [1, 2, 3, 4, 5]));

pool.close(); // from now on it takes no tasks
try {
  await pool.map(square, [6]);
} catch (error) {
  console.log(error instanceof LifecycleError, (error as Error).message);
}
console.log('workers have ended:', await pool.join());

// Unordered output:
// 1 in worker …
// 2 in worker …
// 3 in worker …
// 4 in worker …
// 5 in worker …
// Output:
// [ 1, 4, 9, 16, 25 ]
// true Cannot … closed…
// workers have ended: true
