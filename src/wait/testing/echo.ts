import { words } from '../../memory/commons.js';
import { self } from '../../memory/participants.js';
import { depart } from '../depart.js';
import { wake } from '../line.js';
import { park, parkSync } from '../park.js';
import { joinFamily } from './peer.js';

/*
 * A peer that waits at `word` as often as it is told, in the form it is told, and counts its wakes in `count`. Its tag
 * goes to `hello` first, with a wake.
 */
async function main(): Promise<void> {
  const task = joinFamily<{ word: number; count: number; hello: number; blocking: boolean; times: number }>();
  Atomics.store(words, task.hello, self());
  wake(task.hello);
  for (let i = 0; i < task.times; i++) {
    const { outcome } = task.blocking ? parkSync(task.word, 0) : await park(task.word, 0);
    if (outcome !== 'woken') throw new Error(outcome);
    Atomics.add(words, task.count, 1);
    wake(task.count);
  }
  depart({ last: false });
}

void main();
