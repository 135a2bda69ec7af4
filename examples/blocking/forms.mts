/**
 * The three forms of a wait, tried on an empty queue. Without waiting, blocking, awaited; with a time limit, and called off.
 * What gives up has taken nothing.
 */
import { Queue } from 'manyhands';

const queue = new Queue<string>();

function tell(form: string, error: unknown) {
  console.log(`${form}: ${(error as Error).name}`);
}

try {
  queue.getNowait();
} catch (error) {
  tell('getNowait()', error); // at once
}
try {
  queue.getSync({ timeout: 20 });
} catch (error) {
  tell('getSync()', error); // 20 ms later, in which this thread did nothing else
}
await queue.get({ timeout: 20 }).catch(error => tell('get()', error));

const reason = new AbortController();
const item = queue.get({ signal: reason.signal });
reason.abort(new Error('nobody wants it any more'));
await item.catch(error => console.log(`get(), aborted: ${error.message}`));

await queue.put('the first item');
console.log(queue.getNowait());

// Output:
// getNowait(): QueueEmptyError
// getSync(): QueueEmptyError
// get(): QueueEmptyError
// get(), aborted: nobody wants it any more
// the first item
