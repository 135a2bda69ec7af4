/*
 * A deadlock, found by the library, and how to prevent it. Two transfers in opposite directions each lock the account that
 * pays, then want the one that the other has. Neither could ever go on, so one of them gets an error, which names the circle.
 */

import { Barrier, DeadlockError, Process, Value } from 'manyhands';

type Account = Value<'i'>;
const ann = new Value('i', 100);
const bob = new Value('i', 100);
const bothHoldOne = new Barrier(2);

async function transfer(from: Account, to: Account, sum: number) {
  try {
    using _payer = await from.getLock().acquire();
    await bothHoldOne.wait();
    using _payee = await to.getLock().acquire();
    from.value -= sum;
    to.value += sum;
    return 'done';
  } catch (error) {
    if (!(error instanceof DeadlockError)) throw error;
    return error.cycle
      .map(({ name, holds, waitsFor }) => `${name} holds ${holds}, wants ${waitsFor}`)
      .join('\n');
  }
}

/** Locks ann first, whoever pays. All keep to one order, so no circle can close. */
async function transferInOrder(from: Account, to: Account, sum: number) {
  using _first = await ann.getLock().acquire();
  using _second = await bob.getLock().acquire();
  from.value -= sum;
  to.value += sum;
  return 'done';
}

for (const target of [transfer, transferInOrder]) {
  const there = new Process({ target, args: [ann, bob, 10] }).start();
  const back = new Process({ target, args: [bob, ann, 30] }).start();
  const results = await Promise.all([there.result(), back.result()]);
  console.log(`${target.name}:\n${results.sort().join('\n')}`);
}

// Output:
// transfer:
// <one> holds RLock <x>, wants RLock <y>
// <other> holds RLock <y>, wants RLock <x>
// done
// transferInOrder:
// done
// done
