/*
 * Three ways for a child to leave, and what still runs. That is everything, 'exit' listeners only, or nothing. Started by
 * `manyhands run`.
 */
import { fork, os } from 'manyhands';

const ways = {
  'nothing left to do': () => {},
  'process.exit()': () => process.exit(),
  'os._exit()': () => os._exit(),
};

for (const [way, leave] of Object.entries(ways)) {
  process.stdout.write(`${way}:`);
  if (fork() === 0) {
    process.on('beforeExit', () => process.stdout.write(' beforeExit'));
    process.on('exit', () => process.stdout.write(' exit'));
    try {
      leave();
    } finally {
      process.stdout.write(' finally');
    }
    break;
  }
  await os.wait();
  process.stdout.write('\n');
}

// Output:
// nothing left to do: finally beforeExit exit
// process.exit(): exit
// os._exit():
