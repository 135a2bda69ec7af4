/*
 * Deposits and withdrawals through a shared number, without its lock and under it. To pay takes two steps, reading the
 * balance and writing it; the barrier makes the other payment come in between.
 */

import { Barrier, Process, Value } from 'manyhands';

const balance = new Value('i', 100);
const step = new Barrier(2);

async function depositUnlocked(sum: number) {
  const seen = balance.value;
  await step.wait(); // both have read
  balance.value = seen + sum;
  await step.wait();
}

async function withdrawUnlocked(sum: number) {
  const seen = balance.value;
  await step.wait();
  await step.wait(); // the other has written
  balance.value = seen - sum;
}

const both = async (deposit: (sum: number) => unknown, withdraw: (sum: number) => unknown) =>
  await Promise.all([
    new Process({ target: deposit, args: [50] }).start().result(),
    new Process({ target: withdraw, args: [30] }).start().result(),
  ]);

await both(depositUnlocked, withdrawUnlocked);
console.log('without the lock: 100 + 50 - 30 =', balance.value);

const deposit = (sum: number) =>
  balance.getLock().runExclusiveSync(() => {
    balance.value += sum;
  });
const withdraw = (sum: number) =>
  balance.getLock().runExclusiveSync(() => {
    if (balance.value < sum) throw new Error('not enough'); // what was read here holds until the next line
    balance.value -= sum;
  });

balance.value = 100;
await both(deposit, withdraw);
console.log('under the lock: 100 + 50 - 30 =', balance.value);

const often = (pay: (sum: number) => void) => () => {
  for (let n = 0; n < 2000; n++) pay(1);
};
balance.value = 2000;
await both(often(deposit), often(withdraw));
console.log('after 2000 deposits and 2000 withdrawals of 1:', balance.value);

// Output:
// without the lock: 100 + 50 - 30 = 70
// under the lock: 100 + 50 - 30 = 120
// after 2000 deposits and 2000 withdrawals of 1: 2000
