import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Queue } from '../channel/queue.js';
import type { SharedArray } from '../shared/shared-array.js';
import { random } from '../sync/testing/random.js';
import type { Carrier, Peer } from './carriers.js';
import { waitUntil } from './processes.js';

/*
 * A storm over a queue: those who put and get are killed at random moments, and new ones come. What each has done stands in shared
 * memory, written before a put and after it, and after a get.
 */

/** Of each producer: how many items it has begun to put, how many it has put. Then what all see. */
export const BEGUN = 0;
export const DONE = 1;
const PER_PRODUCER = 2;
export const MOST_PRODUCERS = 300;
/** Items that one producer puts at most. */
export const MOST_ITEMS = 20_000;
const STOP = MOST_PRODUCERS * PER_PRODUCER;
const FAULTS = STOP + 1;
/** 1: that worker has begun. One that is killed as it starts is not what this is about. */
const ARRIVED = STOP + 2;
export const NUMBERS = ARRIVED + 4000;
/** What a consumer has in hand at most: what is lost with it. */
const IN_HAND = 8;

export type Numbers = SharedArray<'i32'>;
/** How often each item of each producer was got. */
export type Received = SharedArray<'u8'>;
export type Item = readonly [producer: number, i: number, data: Uint8Array];

/** Puts items in all ways, some of them given up and begun anew, until it is told to stop, or has put all it may. */
export async function produce(
  queue: Queue<Item>,
  numbers: Numbers,
  me: number,
  most: number,
  worker: number,
): Promise<void> {
  const next = random(me);
  const { view } = numbers;
  Atomics.store(view, ARRIVED + worker, 1);
  const item = (i: number): Item => [me, i, new Uint8Array((i * 7919) % (most + 1)).fill(me * 31 + i)];
  for (let i = 0; i < MOST_ITEMS && Atomics.load(view, STOP) === 0; ) {
    const how = next();
    const count = how < 0.2 ? Math.min(MOST_ITEMS - i, 1 + Math.floor(next() * 10)) : 1;
    Atomics.store(view, me * PER_PRODUCER + BEGUN, i + count);
    try {
      if (how < 0.2)
        await queue.putMany(
          Array.from({ length: count }, (_, k) => item(i + k)),
          how < 0.1 ? { timeout: next() * 3 } : undefined,
        );
      else if (how < 0.4) queue.putSync(item(i), { timeout: next() * 3 });
      else if (how < 0.6) await queue.put(item(i), { timeout: next() * 3 });
      else if (how < 0.8) await queue.put(item(i));
      else queue.putSync(item(i));
      i += count;
    } catch (error) {
      const { code, put = 0 } = error as { code?: string; put?: number };
      if (code !== 'ERR_QUEUE_FULL') throw error;
      i += put;
    }
    Atomics.store(view, me * PER_PRODUCER + DONE, i);
  }
}

/** Gets items in all ways until the queue is shut down. */
export async function consume(
  queue: Queue<Item>,
  numbers: Numbers,
  received: Received,
  seed: number,
  worker: number,
): Promise<void> {
  const next = random(seed);
  Atomics.store(numbers.view, ARRIVED + worker, 1);
  const last = new Map<number, number>();
  const see = ([producer, i, data]: Item) => {
    // All bytes are the same if each is the same as the next.
    const isWhole =
      data.length === 0 ||
      (data[0] === ((producer * 31 + i) & 255) &&
        Buffer.compare(data.subarray(1), data.subarray(0, -1)) === 0);
    if (!isWhole || i <= (last.get(producer) ?? -1)) Atomics.add(numbers.view, FAULTS, 1);
    last.set(producer, i);
    Atomics.add(received.view, producer * MOST_ITEMS + i, 1);
  };
  for (;;) {
    const how = next();
    try {
      if (how < 0.2) for (const item of await queue.getMany(IN_HAND)) see(item);
      else if (how < 0.4) see(queue.getSync({ timeout: next() * 3 }));
      else if (how < 0.6) see(await queue.get({ timeout: next() * 3 }));
      else if (how < 0.8) see(await queue.get());
      else see(queue.getSync());
    } catch (error) {
      const { code } = error as { code?: string };
      if (code === 'ERR_QUEUE_SHUT_DOWN') return;
      if (code !== 'ERR_QUEUE_EMPTY') throw error;
    }
  }
}

export interface Story {
  kills: number;
  items: number;
  lost: number;
}

/** Items of up to `most` bytes, for so many ms, with up to `pause` ms between kills. */
export async function storm(
  carrier: Carrier,
  queue: Queue<Item>,
  numbers: Numbers,
  received: Received,
  { most, duration, seed, pause }: { most: number; duration: number; seed: number; pause: number },
): Promise<Story> {
  const { view } = numbers;
  view.fill(0);
  received.view.fill(0);
  const next = random(seed);
  let producers = 0;
  let workers = 0;
  interface Worker {
    readonly peer: Peer<void>;
    readonly worker: number;
  }
  const startProducer = (): Worker => {
    const worker = workers++;
    return { worker, peer: carrier.start(produce, queue, numbers, producers++, most, worker) };
  };
  const startConsumer = (): Worker => {
    const worker = workers++;
    return { worker, peer: carrier.start(consume, queue, numbers, received, seed + worker, worker) };
  };
  const putting = [startProducer(), startProducer(), startProducer()];
  const getting = [startConsumer(), startConsumer(), startConsumer()];
  const gone: Promise<unknown>[] = [];
  let kills = 0;
  let inHand = 0;
  const done = () => {
    let all = 0;
    for (let p = 0; p < producers; p++) all += Atomics.load(view, p * PER_PRODUCER + DONE);
    return all;
  };
  const putAll = (p: number) => Atomics.load(view, p * PER_PRODUCER + DONE) === MOST_ITEMS;
  const isOver = () => producers >= MOST_PRODUCERS - 4 || workers >= NUMBERS - ARRIVED - 4;
  for (const end = performance.now() + duration; performance.now() < end && !isOver(); ) {
    const before = done();
    await waitUntil(
      () => done() > before || Array.from({ length: producers }, (_, p) => p).every(putAll),
      'somebody to put something',
      30_000,
    );
    await sleep(next() * pause);
    const isProducer = next() < 0.5;
    const crowd = isProducer ? putting : getting;
    const [{ peer: victim, worker }] = crowd.splice(Math.floor(next() * crowd.length), 1);
    await waitUntil(() => Atomics.load(view, ARRIVED + worker) === 1, 'one to begin', 30_000);
    victim.kill();
    kills++;
    if (!isProducer) inHand += IN_HAND;
    gone.push(
      victim.result().catch(error => {
        if ((error as { code?: string }).code !== 'ERR_WORKER_DIED') throw error;
      }),
    );
    crowd.push(isProducer ? startProducer() : startConsumer());
    await victim.join();
  }
  Atomics.store(view, STOP, 1);
  await Promise.all(putting.map(({ peer }) => peer.result({ timeout: 60_000 })));
  await waitUntil(() => queue.empty(), 'all to be got', 60_000);
  queue.shutdown();
  await Promise.all(getting.map(({ peer }) => peer.result({ timeout: 60_000 })));
  await Promise.all([...putting, ...getting].map(({ peer }) => peer.join()));
  await Promise.all(gone);

  assert.equal(Atomics.load(view, FAULTS), 0, 'items were damaged, or out of order');
  let lost = 0;
  let items = 0;
  for (let p = 0; p < producers; p++) {
    const [begun, put] = [view[p * PER_PRODUCER + BEGUN], view[p * PER_PRODUCER + DONE]];
    for (let i = 0; i < MOST_ITEMS; i++) {
      const times = received.view[p * MOST_ITEMS + i];
      assert.ok(times <= 1, `item ${i} of ${p} came ${times} times`);
      assert.ok(times === 0 || i < begun, `item ${i} of ${p} was never put`);
      items += times;
      if (i < put) lost += 1 - times;
    }
  }
  assert.ok(lost <= inHand, `${lost} items were lost; those killed had no more than ${inHand}`);
  return { kills, items, lost };
}
