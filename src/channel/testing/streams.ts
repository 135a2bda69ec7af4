import assert from 'node:assert/strict';
import type { Queue } from '../queue.js';

/* For tests of queues: streams of items that can be told from one another. */

/** Of which producer, which of its items, and something to check it by. */
export type Item = readonly [producer: number, i: number, data: Uint8Array];

export const FORMS = ['async', 'blocking', 'many', 'mixed'] as const;
export type Form = (typeof FORMS)[number];

/** Puts `count` items, of random length up to `most`, each byte of which tells whose it is. */
export async function produce(
  queue: Queue<Item>,
  me: number,
  count: number,
  most: number,
  form: Form,
): Promise<number> {
  let state = (me + 1) * 2_654_435_761;
  const random = (below: number) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const item = (i: number): Item => [me, i, new Uint8Array(random(most + 1)).fill(me * 31 + i)];
  for (let i = 0; i < count; ) {
    const how = form === 'mixed' ? (['async', 'blocking', 'many'] as const)[random(3)] : form;
    if (how === 'async') await queue.put(item(i++));
    else if (how === 'blocking') queue.putSync(item(i++));
    else {
      const some = Math.min(1 + random(40), count - i);
      const items = Array.from({ length: some }, (_, k) => item(i + k));
      i += some;
      await queue.putMany(items);
    }
  }
  return count;
}

/** Gets until the queue is shut down. Returns [producer, i] of each, in order, one after the other. */
export async function consume(queue: Queue<Item>, form: Form): Promise<Int32Array> {
  const seen: number[] = [];
  const see = ([producer, i, data]: Item) => {
    const byte = (producer * 31 + i) & 255;
    for (const one of data) if (one !== byte) throw new Error(`item ${i} of ${producer} is damaged`);
    seen.push(producer, i);
  };
  try {
    for (let turn = 0; ; turn++) {
      const how = form === 'mixed' ? (['async', 'blocking', 'many'] as const)[turn % 3] : form;
      if (how === 'async') see(await queue.get());
      else if (how === 'blocking') see(queue.getSync());
      else for (const item of await queue.getMany(1 + (turn % 50))) see(item);
    }
  } catch (error) {
    if ((error as { code?: string }).code !== 'ERR_QUEUE_SHUT_DOWN') throw error;
  }
  return Int32Array.from(seen);
}

/** Each item once, and those of each producer in order to each consumer. */
export function assertExact(consumed: readonly Int32Array[], counts: readonly number[]): void {
  const seen = counts.map(count => new Uint8Array(count));
  for (const list of consumed) {
    const last = counts.map(() => -1);
    for (let at = 0; at < list.length; at += 2) {
      const [producer, i] = [list[at], list[at + 1]];
      assert.ok(i > last[producer], `item ${i} of ${producer} comes after ${last[producer]}`);
      last[producer] = i;
      seen[producer][i]++;
    }
  }
  for (const [producer, items] of seen.entries())
    for (const [i, times] of items.entries())
      assert.equal(times, 1, `item ${i} of ${producer} came ${times} times`);
}
