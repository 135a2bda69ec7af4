import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { getEventListeners } from 'node:events';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ClosedError, QueueEmptyError } from '../errors/errors.js';
import { Lock } from '../sync/lock.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, ended, killed, LIMIT, numbers, untilIs, warmCarriers } from '../testing/sharing.js';
import { waiting } from '../wait/line.js';
import { EXCHANGE } from './exchange.js';
import { Queue } from './queue.js';
import { wait } from './wait.js';
import { IS_READY, WATCH, type Waitable } from './waitable.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

function queues(count: number): Queue<number>[] {
  return Array.from({ length: count }, () => new Queue<number>());
}

/** How many watch a queue. */
function watching(queue: Queue): number {
  return waiting(queue.cell.at + EXCHANGE.WATCH).length;
}

function dispose(...all: Queue[]): void {
  for (const queue of all) {
    assert.equal(watching(queue), 0, 'somebody still watches');
    queue[Symbol.dispose]();
  }
}

describe('what is ready', () => {
  test('all that have something, in the order given, at once', LIMIT, async () => {
    const all = queues(5);
    for (const i of [3, 1]) all[i].putNowait(i);
    assert.deepEqual(await wait(all), [all[1], all[3]]);
    assert.deepEqual(await wait(all.toReversed(), { timeout: 0 }), [all[3], all[1]]);
    assert.deepEqual(
      all.map(queue => queue.qsize()),
      [0, 1, 0, 1, 0],
      'nothing is taken',
    );
    assert.deepEqual(await wait(all), [all[1], all[3]], 'they stay ready');
    dispose(...all);
  });

  test('one that is given twice is there twice, whether it was ready or becomes so', LIMIT, async () => {
    const [a, b] = queues(2);
    const waits = wait([a, b, a]);
    assert.equal(watching(a), 1);
    a.putNowait(1);
    assert.deepEqual(await waits, [a, a]);
    assert.deepEqual(await wait([a, b, a]), [a, a]);
    dispose(a, b);
  });

  test('of none there is none, at once', LIMIT, async () => {
    assert.deepEqual(await wait([]), []);
    assert.deepEqual(await wait([], { timeout: 1000 }), []);
  });

  test('all that have become ready when the first is noticed', LIMIT, async () => {
    const all = queues(4);
    const waits = wait(all);
    for (const i of [2, 0, 3]) all[i].putNowait(i);
    assert.deepEqual(await waits, [all[0], all[2], all[3]]);
    dispose(...all);
  });

  test('a queue that was shut down, with something left in it or nothing', LIMIT, async () => {
    const [a, b, c] = queues(3);
    a.shutdown();
    b.putNowait(1);
    b.shutdown();
    assert.deepEqual(await wait([a, b, c]), [a, b]);
    const waits = wait([c]);
    c.shutdown({ immediate: true });
    assert.deepEqual(await waits, [c]);
    dispose(a, b, c);
  });
});

describe('giving up', () => {
  test('none when time runs out, and nothing is left behind', LIMIT, async () => {
    const all = queues(3);
    for (const timeout of [0, 0.001, 5]) assert.deepEqual(await wait(all, { timeout }), []);
    dispose(...all);
  });

  test('what has become ready just as time runs out is told', LIMIT, async () => {
    const queue = new Queue<number>();
    const waits = wait([queue], { timeout: 5 });
    queue.putNowait(1);
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10); // the timer is due before anything else can be heard
    assert.deepEqual(await waits, [queue]);
    dispose(queue);
  });

  test('an abort rejects with its reason, before and while it waits', LIMIT, async () => {
    const all = queues(3);
    const reason = { no: 'error' };
    await assert.rejects(wait(all, { signal: AbortSignal.abort(reason) }), value => value === reason);
    const controller = new AbortController();
    const { signal } = controller;
    const waits = Array.from({ length: 5 }, () => wait(all, { signal, timeout: 60_000 }));
    assert.equal(watching(all[2]), 5);
    controller.abort(reason);
    for (const one of waits) await assert.rejects(one, value => value === reason);
    assert.equal(getEventListeners(signal, 'abort').length, 0);
    dispose(...all);
  });

  test('an abort afterwards changes nothing, and no listener stays', LIMIT, async () => {
    const [queue] = queues(1);
    const controller = new AbortController();
    const waits = wait([queue], { signal: controller.signal });
    assert.equal(getEventListeners(controller.signal, 'abort').length, 1);
    queue.putNowait(1);
    assert.deepEqual(await waits, [queue]);
    assert.equal(getEventListeners(controller.signal, 'abort').length, 0);
    controller.abort();
    dispose(queue);
  });
});

describe('what cannot be waited for', () => {
  test('wrong objects are named by their place', LIMIT, async () => {
    const queue = new Queue();
    using lock = new Lock();
    for (const [wrong, name] of [
      [lock, /element 1, which is an object of class Lock/],
      [{}, /element 1, which is an object of class Object/],
      [Object.create(null), /element 1/],
      [undefined, /element 1, which is undefined/],
      [null, /element 1, which is null/],
      ['queue', /element 1, which is 'queue'/],
      [Promise.resolve(), /queues, connections, processes, threads/],
    ] as const)
      await assert.rejects(wait([queue, wrong as Queue]), (error: Error) => {
        assert.ok(error instanceof TypeError);
        assert.match(error.message, name);
        return true;
      });
    // biome-ignore lint/suspicious/noSparseArray: that is the case in question
    await assert.rejects(wait([, queue] as Queue[]), /element 0, which is undefined/);
    for (const wrong of [queue, undefined, 'ab', new Set([queue])])
      await assert.rejects(wait(wrong as never), TypeError);
    await assert.rejects(wait([queue], { timeout: -1 }), RangeError);
    await assert.rejects(wait([queue], { timeout: '1' as never }), TypeError);
    dispose(queue);
  });

  test('what is closed or disposed of, before or meanwhile', LIMIT, async () => {
    for (const end of [(queue: Queue) => queue.close(), (queue: Queue) => queue[Symbol.dispose]()]) {
      const [open, closed] = queues(2);
      const waits = [wait([open, closed]), wait([closed], { timeout: 60_000 })];
      end(closed);
      for (const one of waits) await assert.rejects(one, ClosedError);
      await assert.rejects(wait([open, closed]), ClosedError);
      dispose(open, closed);
    }
  });

  test('an error of one of them ends the wait, and the others are not watched any more', LIMIT, async () => {
    const [queue] = queues(1);
    let isBroken = false;
    let notify = () => {};
    const one: Waitable = {
      [IS_READY]() {
        if (isBroken) throw new Error('it broke');
        return false;
      },
      [WATCH](watcher) {
        notify = () => watcher.notify();
        return { stop() {} };
      },
    };
    const waits = wait([queue, one]);
    notify();
    await turn();
    assert.equal(watching(queue), 1, 'a call for nothing changes nothing');
    isBroken = true;
    notify();
    await assert.rejects(waits, /it broke/);
    dispose(queue);
  });
});

describe('with others who get', () => {
  test('who waits for an item gets it, however many watch', LIMIT, async () => {
    const [queue] = queues(1);
    const watches = Array.from({ length: 10 }, () => wait([queue]));
    const got = queue.get();
    const watchesToo = wait([queue], { timeout: 50 });
    queue.putNowait(7);
    assert.equal(await got, 7);
    // They were told, or had to look and found nothing; then they wait on.
    queue.putNowait(8);
    for (const one of watches) assert.deepEqual(await one, [queue]);
    assert.deepEqual(await watchesToo, [queue]);
    assert.equal(queue.getNowait(), 8);
    dispose(queue);
  });

  test('an item that is gone before anyone looks is waited for further', LIMIT, async () => {
    const [queue, other] = queues(2);
    let isOver = false;
    const waits = wait([queue, other]).finally(() => {
      isOver = true;
    });
    for (let i = 0; i < 100; i++) {
      queue.putNowait(i);
      assert.equal(queue.getNowait(), i);
      if (i % 10 === 0) await turn();
      assert.equal(isOver, false);
      assert.equal(watching(other), 1);
    }
    other.putNowait(1);
    assert.deepEqual(await waits, [other]);
    dispose(queue, other);
  });

  test('several hundred waits for the same queues', LIMIT, async () => {
    const all = queues(20);
    const waits = Array.from({ length: 300 }, (_, i) => wait(all.slice(i % 10)));
    all[19].putNowait(1);
    for (const one of await Promise.all(waits)) assert.deepEqual(one, [all[19]]);
    dispose(...all);
  });
});

test('five thousand queues: each that gets something is told, the others cost nothing', LIMIT, async () => {
  const all = queues(5000);
  for (const i of [4999, 0, 2500]) {
    const waits = wait(all);
    assert.equal(watching(all[i]), 1);
    await turn();
    all[i].putNowait(i);
    assert.deepEqual(await waits, [all[i]]);
    assert.equal(all[i].getNowait(), i);
  }
  assert.deepEqual(await wait(all, { timeout: 1 }), []);
  dispose(...all);
});

test('what becomes ready and is not, over and over, does not have all others looked at', LIMIT, async () => {
  const [queue] = queues(1);
  let looks = 0;
  const others = Array.from(
    { length: 100 },
    (): Waitable => ({
      [IS_READY]() {
        looks++;
        return false;
      },
      [WATCH]: () => ({ stop() {} }),
    }),
  );
  const waits = wait([queue, ...others]);
  const before = looks;
  for (let i = 0; i < 50; i++) {
    queue.putNowait(i);
    queue.getNowait();
    await turn();
  }
  assert.equal(looks, before);
  queue.putNowait(1);
  assert.deepEqual(await waits, [queue]);
  dispose(queue);
});

for (const carrier of crowds) {
  describe(carrier.name, () => {
    test('each queue that others put into is told until all have ended', LIMIT, async () => {
      const all = queues(6);
      const peers = all.map((queue, i) =>
        carrier.start(
          async (mine: Queue<number>, first: number) => {
            for (let k = 0; k < 20; k++) {
              await mine.put(first + k);
              if (k % 5 === 0) await new Promise(resolve => setImmediate(resolve));
            }
            mine.shutdown();
          },
          queue,
          i * 100,
        ),
      );
      const got = new Map(all.map(queue => [queue, [] as number[]]));
      const left = new Set<Queue<number>>(all);
      while (left.size > 0) {
        for (const queue of await wait([...left])) {
          try {
            got.get(queue)?.push(queue.getNowait());
          } catch (error) {
            assert.ok(error instanceof Error && !(error instanceof QueueEmptyError), 'nobody else gets');
            left.delete(queue);
          }
        }
      }
      for (const [i, queue] of all.entries())
        assert.deepEqual(
          got.get(queue),
          Array.from({ length: 20 }, (_, k) => i * 100 + k),
        );
      await ended(...peers);
      assert.deepEqual(await wait(peers), peers);
      dispose(...all);
    });

    test('those who wait elsewhere are told of a queue here', LIMIT, async () => {
      const [first, second] = queues(2);
      const all = numbers();
      const peers = Array.from({ length: 3 }, () =>
        carrier.start(
          async (a, b, counts) => {
            const waits = wait([a, b]);
            Atomics.add(counts.view, 0, 1);
            return (await waits).map(queue => (queue === b ? 'second' : 'first'));
          },
          first,
          second,
          all,
        ),
      );
      await untilIs(all, 0, 3);
      assert.equal(watching(second), 3);
      second.putNowait(1);
      assert.deepEqual(await ended(...peers), [['second'], ['second'], ['second']]);
      dispose(first, second);
      all[Symbol.dispose]();
    });

    test('one that waits is killed: the others are told, and nothing of it stays', LIMIT, async () => {
      const all = queues(50);
      const counts = numbers();
      const waits = async (these: Queue<number>[], seen: typeof counts) => {
        const one = wait(these);
        Atomics.add(seen.view, 0, 1);
        return (await one).length;
      };
      const peers = [1, 2].map(() => carrier.start(waits, all, counts));
      await untilIs(counts, 0, 2);
      const here = wait(all);
      assert.equal(watching(all[49]), 3);
      await killed(peers[0]);
      all[49].putNowait(1);
      assert.deepEqual(await here, [all[49]]);
      assert.deepEqual(await ended(peers[1]), [1]);
      dispose(...all);
      counts[Symbol.dispose]();
    });
  });
}

test('it keeps the program alive as long as it waits, and no longer', LIMIT, () => {
  const library = JSON.stringify(path.resolve(__dirname, '..', 'index.js'));
  const program = `
    const { Queue, Thread, wait } = require(${library});
    const queue = new Queue();
    const target = queue => { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50); queue.putSync(1); };
    new Thread({ target, args: [queue], daemon: true }).start();
    wait([queue]).then(() => console.log('told'));
  `;
  assert.equal(String(execFileSync(process.execPath, ['-e', program], { timeout: 30_000 })), 'told\n');
});
