import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isAllocated } from '../memory/allocator.js';
import { carriers } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { ended, killed, LIMIT, warmCarriers } from '../testing/sharing.js';
import { Queue } from './queue.js';
import { untilFreed } from './testing/queues.js';

/* How long a queue is there. For pipes see connection.test.ts. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

for (const carrier of carriers) {
  const stay = async (theirs: Queue, up: Queue) => {
    up.putNowait('up');
    await theirs.get();
  };

  test(`${carrier.name}: the last who has it frees it, whoever made it`, LIMIT, async () => {
    const queue = new Queue();
    const up = new Queue();
    const peer = carrier.start(stay, queue, up);
    await up.get();
    queue.putNowait(new Uint8Array(5000));
    queue.putNowait(2);
    queue.close();
    await ended(peer);
    await untilFreed(queue);
    up.close();
  });

  test(`${carrier.name}: if those who have it are killed, who let go before frees it`, LIMIT, async () => {
    const queue = new Queue();
    const up = new Queue();
    const peers = [1, 2, 3].map(() => carrier.start(stay, queue, up));
    for (const _ of peers) await up.get();
    queue.close();
    assert.ok(isAllocated(queue.cell.blocks[0]));
    await killed(...peers);
    await untilFreed(queue);
    up.close();
  });

  test(`${carrier.name}: one that nobody receives is freed`, LIMIT, async () => {
    const queue = new Queue();
    const peer = carrier.start((_: Queue) => {}, queue);
    queue.close();
    peer.kill();
    await peer.join();
    await untilFreed(queue);
  });
}

test('in an item it is there for whoever gets that', LIMIT, async () => {
  const outer = new Queue<Queue<string>>();
  const inner = new Queue<string>();
  inner.putNowait('kept');
  outer.putNowait(inner);
  inner.close();
  const again = outer.getNowait();
  assert.equal(again.getNowait(), 'kept');
  again.putNowait('dropped');
  outer.putNowait(again);
  again.close();
  outer.close();
  await untilFreed(again);
});

test('received twice, it is one object, and one close() lets go of it', LIMIT, async () => {
  using outer = new Queue<Queue<string>>();
  const inner = new Queue<string>();
  for (let i = 0; i < 3; i++) outer.putNowait(inner);
  for (let i = 0; i < 3; i++) assert.equal(outer.getNowait(), inner);
  inner.close();
  await untilFreed(inner);
});
