import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import {
  ClosedError,
  LifecycleError,
  QueueShutDownError,
  SerializationError,
  TimeoutError,
  WorkerDiedError,
} from '../errors/errors.js';
import { EventFlag } from '../sync/event-flag.js';
import { forked, type Peer } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { crowds, ended, killed, LIMIT, numbers, warmCarriers } from '../testing/sharing.js';
import { type Exchange, OUTCOME } from './exchange.js';
import { packBytes } from './item.js';
import { JoinableQueue } from './joinable-queue.js';
import type { Ledger } from './ledger.js';
import { LifoQueue } from './lifo-queue.js';
import { borrow, giveBack, release } from './parcel.js';
import { PriorityQueue } from './priority-queue.js';
import { Queue } from './queue.js';
import { SimpleQueue } from './simple-queue.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const FORMS = ['async', 'blocking'] as const;
/** How many consumers are killed, at random moments; of those that others live beside, two at a time. */
const KILLS = Number(process.env.MANYHANDS_KILLS ?? 12);
const ROUNDS = Math.ceil(KILLS / 15);
type Form = (typeof FORMS)[number];

/** Resolves once so many stand in line to join. */
function untilJoining(queue: JoinableQueue, count: number): Promise<void> {
  const { cell, ledger } = queue as unknown as {
    cell: JoinableQueue['cell'];
    ledger: { word: number };
  };
  return waitUntil(
    () => cell.home.waiting(ledger.word).length === count,
    () => `${count} to join, not ${cell.home.waiting(ledger.word).length}`,
    30_000,
  );
}

/** Joins over there; what came of it: 'joined', or the code of the error. */
async function join(queue: JoinableQueue, form: Form): Promise<string> {
  try {
    if (form === 'blocking') return queue.joinSync() ? 'joined' : 'late';
    await queue.join();
    return 'joined';
  } catch (error) {
    return (error as { code: string }).code;
  }
}

/** Gets so many, says so, and does nothing more. */
async function keep(queue: JoinableQueue, count: number, held: EventFlag): Promise<void> {
  for (let i = 0; i < count; i++) await queue.get();
  held.set();
  await new Promise(() => setInterval(() => queue, 1e6)); // one that nobody refers to is dropped
}

function lost(unfinished: number): (error: unknown) => boolean {
  return error => {
    assert.ok(error instanceof WorkerDiedError);
    assert.equal((error as { unfinished?: number }).unfinished, unfinished);
    assert.match(error.message, new RegExp(`${unfinished} item`));
    return true;
  };
}

test('nothing is to be joined where nothing was put, and nothing to be paid', async () => {
  using queue = new JoinableQueue();
  await queue.join();
  assert.equal(queue.joinSync({ timeout: 0 }), true);
  assert.throws(() => queue.taskDone(), LifecycleError);
  await queue.put(1);
  assert.throws(() => queue.taskDone(), LifecycleError, 'nobody has got it');
  assert.equal(queue.joinSync({ timeout: 0 }), false);
  queue.getSync();
  assert.equal(queue.joinSync({ timeout: 0 }), false);
  queue.taskDone();
  assert.equal(queue.joinSync({ timeout: 0 }), true);
  assert.throws(() => queue.taskDone(), LifecycleError);
});

for (const Kind of [JoinableQueue, LifoQueue, PriorityQueue]) {
  test(`each item of a ${Kind.name} owes one taskDone(), however it was got`, LIMIT, async () => {
    using queue = new Kind<number>();
    await queue.putMany([0, 1, 2, 3, 4, 5, 6, 7]);
    let joined = 0;
    const joins = [queue.join(), queue.join()].map(join => join.then(() => joined++));
    assert.equal((await queue.getMany(3)).length, 3);
    queue.getSync();
    queue.getNowait();
    await queue.get();
    for await (const _ of queue) if (queue.empty()) break;
    for (let i = 0; i < 8; i++) {
      assert.equal(joined, 0);
      assert.equal(queue.joinSync({ timeout: 0 }), false);
      queue.taskDone();
    }
    await Promise.all(joins);
    assert.throws(() => queue.taskDone(), LifecycleError);
  });
}

test('an item that cannot be decoded owes one, too', LIMIT, async () => {
  using queue = new JoinableQueue();
  const { exchange } = queue as unknown as { exchange: Exchange };
  const parcel = borrow();
  for (let i = 0; i < 2; i++) {
    packBytes(Uint8Array.of(250, 251, 252), parcel, exchange.space);
    assert.equal(exchange.offer(parcel, false), OUTCOME.DONE);
    release(parcel, exchange.space);
  }
  giveBack(parcel, exchange.space);
  assert.throws(() => queue.getNowait(), SerializationError);
  await assert.rejects(queue.getMany(1), SerializationError);
  for (let i = 0; i < 2; i++) {
    assert.equal(queue.joinSync({ timeout: 0 }), false);
    queue.taskDone();
  }
  assert.equal(queue.joinSync({ timeout: 0 }), true);
});

test('join() is over if all was done for a moment, whatever is put meanwhile', LIMIT, async () => {
  using queue = new JoinableQueue();
  queue.putNowait(1);
  const early = queue.join();
  queue.getNowait();
  queue.taskDone();
  queue.putNowait(2); // before anyone who joins has looked
  const late = queue.join({ timeout: 20 });
  await early;
  await assert.rejects(late, TimeoutError);
  queue.getNowait();
  queue.taskDone();
});

test('a join that is called off leaves everything as it was', LIMIT, async () => {
  using queue = new JoinableQueue();
  queue.putNowait(1);
  await assert.rejects(queue.join({ timeout: 0 }), TimeoutError);
  await assert.rejects(queue.join({ timeout: 5 }), TimeoutError);
  assert.equal(queue.joinSync({ timeout: 5 }), false);
  const controller = new AbortController();
  const aborted = queue.join({ signal: controller.signal });
  const other = queue.join();
  const reason = new Error('enough');
  controller.abort(reason);
  await assert.rejects(aborted, error => error === reason);
  await assert.rejects(queue.join({ signal: controller.signal }), error => error === reason);
  for (const timeout of [-1, Number.NaN]) await assert.rejects(queue.join({ timeout }), RangeError);
  assert.throws(() => queue.joinSync({ timeout: '1' as never }), TypeError);
  queue.getNowait();
  queue.taskDone();
  await other;
});

test(
  'an orderly shutdown has join() wait for what is left, an immediate one for what was got',
  LIMIT,
  async () => {
    for (const immediate of [false, true]) {
      using queue = new JoinableQueue();
      queue.putNowait(1);
      queue.putNowait(2);
      queue.putNowait(3);
      queue.getNowait();
      let joined = false;
      const join = queue.join().then(() => {
        joined = true;
      });
      queue.shutdown({ immediate });
      await assert.rejects(queue.put(4), QueueShutDownError);
      assert.equal(queue.joinSync({ timeout: 0 }), false);
      queue.taskDone();
      if (!immediate) {
        for (let i = 0; i < 2; i++) {
          assert.equal(queue.joinSync({ timeout: 0 }), false);
          queue.getNowait();
          queue.taskDone();
        }
      }
      assert.equal(joined, false, 'nobody has turned to it yet');
      await join;
      assert.throws(() => queue.getNowait(), QueueShutDownError);
      assert.throws(() => queue.taskDone(), LifecycleError);
    }
  },
);

test('an immediate shutdown that leaves nothing unfinished ends joins', LIMIT, async () => {
  using queue = new JoinableQueue();
  queue.putNowait(1);
  const join = queue.join();
  queue.shutdown();
  assert.equal(queue.joinSync({ timeout: 0 }), false);
  queue.shutdown({ immediate: true });
  await join;
});

test('close() ends joins here, and gives up what is owed here', LIMIT, async () => {
  using queue = new JoinableQueue();
  await queue.putMany([1, 2]);
  queue.getNowait();
  const join = queue.join();
  queue.close();
  queue.close();
  await assert.rejects(join, ClosedError);
  await assert.rejects(queue.join(), ClosedError);
  assert.throws(() => queue.joinSync(), ClosedError);
  assert.throws(() => queue.taskDone(), ClosedError);
});

test('whoever closes it ends its own joins', LIMIT, async () => {
  const queue = new JoinableQueue();
  queue.putNowait(1);
  const join = queue.join();
  queue[Symbol.dispose]();
  await assert.rejects(join, ClosedError);
  assert.throws(() => queue.taskDone(), ClosedError);
  assert.throws(() => queue.joinSync(), ClosedError);
});

test('debts of more threads than its cell has room for are all kept', LIMIT, async () => {
  using queue = new JoinableQueue<number>();
  const count = 90;
  const take = (given: typeof queue) => given.getSync();
  for (let i = 0; i < count; i++) queue.putNowait(i);
  for (let i = 0; i < count; i += 6)
    await ended(...Array.from({ length: 6 }, () => forked.start(take, queue)));
  await assert.rejects(queue.join(), lost(count));
  const { ledger } = queue as unknown as { ledger: Ledger };
  assert.equal(ledger.blocks().length, 1);
  for (let i = 0; i < count; i++) queue.taskDone();
  await queue.join();
  assert.throws(() => queue.taskDone(), LifecycleError);
  for (let i = 0; i < count; i++) queue.putNowait(i);
  for (let i = 0; i < count; i += 6)
    await ended(...Array.from({ length: 6 }, () => forked.start(take, queue)));
  assert.equal(ledger.blocks().length, 1, 'places are used again');
});

test('a join ends, at whatever instant the last consumer is killed', LIMIT, async () => {
  using all = numbers();
  const consume = (queue: JoinableQueue, seen: typeof all) => {
    for (;;) {
      queue.getSync();
      Atomics.add(seen.view, 0, 1);
      queue.taskDone();
    }
  };
  const ends = [0, 0];
  for (let round = 0; round < KILLS; round++) {
    using queue = new JoinableQueue<number>();
    const consumer = forked.start(consume, queue, all);
    const target = all.view[0] + 1 + (round % 7);
    for (let i = 0; i < 20; i++) queue.putNowait(i);
    const join = queue.join().then(
      () => 0,
      error => (error as { unfinished: number }).unfinished,
    );
    while (Atomics.load(all.view, 0) < target) await turn();
    await killed(consumer);
    for (; !queue.empty(); queue.taskDone()) queue.getNowait();
    const unfinished = await join;
    assert.ok(unfinished <= 1);
    ends[unfinished]++;
  }
  assert.equal(ends[0] + ends[1], KILLS);
});

for (const carrier of crowds) {
  describe(`over ${carrier.name}`, () => {
    test('a queue arrives as what it is, and stays one object', LIMIT, async () => {
      for (const Kind of [Queue, SimpleQueue, JoinableQueue, LifoQueue, PriorityQueue]) {
        using queue = new Kind<unknown>();
        const peer = carrier.start((given: Queue<unknown>) => {
          given.putSync([given]);
          return [given.constructor.name, given] as const;
        }, queue);
        const [[name, back]] = await ended(peer);
        assert.equal(name, Kind.name);
        assert.equal(back, queue);
        assert.deepEqual(queue.getSync(), [queue]);
      }
    });

    test('join() waits until all that others got is done', LIMIT, async () => {
      using queue = new JoinableQueue<number>();
      using all = numbers();
      const consume = async (given: typeof queue, sums: typeof all, form: Form) => {
        const pull = () => (form === 'blocking' ? given.getSync() : given.get());
        for (let item = await pull(); item >= 0; item = await pull()) {
          Atomics.add(sums.view, 0, item);
          given.taskDone();
        }
        given.taskDone();
      };
      const consumers = FORMS.map(form => carrier.start(consume, queue, all, form));
      const count = 300;
      for (let i = 1; i <= count; i++) await queue.put(i);
      await queue.join();
      assert.equal(all.view[0], (count * (count + 1)) / 2);
      for (let round = 0; round < KILLS; round++) {
        queue.putSync(0);
        if (round % 2 === 0) await queue.join();
        else assert.equal(queue.joinSync(), true);
      }
      await queue.putMany([-1, -1]);
      await queue.join();
      assert.throws(() => queue.taskDone(), LifecycleError);
      await ended(...consumers);
    });

    test('the last taskDone() wakes all who join, wherever they are', LIMIT, async () => {
      using queue = new JoinableQueue();
      queue.putNowait(1);
      queue.getNowait();
      const peers = FORMS.map(form => carrier.start(join, queue, form));
      const own = queue.join();
      await untilJoining(queue, 3);
      queue.taskDone();
      await own;
      assert.deepEqual(await ended(...peers), ['joined', 'joined']);
    });

    test('anyone may pay for another', LIMIT, async () => {
      using queue = new JoinableQueue();
      await queue.putMany([1, 2]);
      const held = [queue.getNowait(), queue.getNowait()];
      const join = queue.join();
      const outcomes = await ended(
        carrier.start((given: typeof queue) => {
          given.taskDone();
          given.taskDone();
          try {
            given.taskDone();
          } catch (error) {
            return (error as { code: string }).code;
          }
        }, queue),
      );
      assert.deepEqual([outcomes, held], [['ERR_LIFECYCLE'], [1, 2]]);
      await join;
    });

    for (const count of [1, 3])
      test(
        `joins fail once a killed consumer has left ${count} unpaid, and somebody can pay`,
        LIMIT,
        async () => {
          using queue = new JoinableQueue();
          using held = new EventFlag();
          await queue.putMany(Array.from({ length: count }, (_, i) => i));
          const consumer = carrier.start(keep, queue, count, held);
          await held.wait();
          const peers = FORMS.map(form => carrier.start(join, queue, form));
          const own = queue.join();
          await untilJoining(queue, 3);
          await Promise.all([assert.rejects(own, lost(count)), killed(consumer)]);
          assert.deepEqual(await ended(...peers), ['ERR_WORKER_DIED', 'ERR_WORKER_DIED']);
          await assert.rejects(queue.join(), lost(count));
          assert.throws(() => queue.joinSync({ timeout: 0 }), lost(count));
          for (let i = 0; i < count; i++) queue.taskDone();
          await queue.join();
          assert.throws(() => queue.taskDone(), LifecycleError);
        },
      );

    test('joins fail once a consumer has ended in order and left something unpaid', LIMIT, async () => {
      using queue = new JoinableQueue();
      await queue.putMany([1, 2, 3]);
      const own = queue.join().catch(error => error);
      await untilJoining(queue, 1);
      const take = (given: typeof queue) => {
        for (let i = 0; i < 3; i++) given.getSync();
        given.taskDone();
      };
      await ended(carrier.start(take, queue));
      lost(2)(await own);
      queue.taskDone();
      queue.taskDone();
    });

    test('a consumer that has closed the queue will not pay, either', LIMIT, async () => {
      using queue = new JoinableQueue();
      using closed = new EventFlag();
      using end = new EventFlag();
      queue.putNowait(1);
      const own = queue.join().catch(error => error);
      const consumer = carrier.start(
        async (given: typeof queue, flag: EventFlag, last: EventFlag) => {
          given.getSync();
          given.close();
          flag.set();
          await last.wait();
        },
        queue,
        closed,
        end,
      );
      await closed.wait();
      lost(1)(await own);
      queue.taskDone();
      end.set();
      await ended(consumer);
    });

    test('nor will one that has dropped it', LIMIT, async () => {
      using queue = new JoinableQueue();
      using end = new EventFlag();
      queue.putNowait(1);
      const own = queue.join().catch(error => error);
      const consumer = carrier.start(
        async (holder: { queue?: JoinableQueue }, last: EventFlag) => {
          holder.queue?.getSync();
          delete holder.queue;
          while (!last.isSet()) await collect();
        },
        { queue },
        end,
      );
      lost(1)(await own);
      queue.taskDone();
      end.set();
      await ended(consumer);
    });

    test('while anyone is left who may pay, joins wait', LIMIT, async () => {
      using queue = new JoinableQueue<number>();
      using held = new EventFlag();
      await queue.putMany([1, 2, 3]);
      const consumer = carrier.start(keep, queue, 1, held);
      await held.wait();
      queue.getNowait();
      const own = queue.join().catch(error => error);
      const peer = carrier.start(join, queue, 'blocking');
      await untilJoining(queue, 2);
      await killed(consumer);
      assert.equal(queue.joinSync({ timeout: 0 }), false, 'this thread owes');
      queue.taskDone();
      assert.equal(queue.joinSync({ timeout: 0 }), false, 'an item is left');
      queue.getNowait();
      assert.equal(queue.joinSync({ timeout: 0 }), false);
      queue.taskDone(); // its own: what the dead one owes is left
      lost(1)(await own);
      assert.deepEqual(await ended(peer), ['ERR_WORKER_DIED']);
      queue.putNowait(4);
      queue.getNowait();
      queue.taskDone();
      queue.taskDone();
      await queue.join();
    });

    test('who pays for others pays for the dead first', LIMIT, async () => {
      using queue = new JoinableQueue();
      using held = new EventFlag();
      using stays = new EventFlag();
      await queue.putMany([1, 2]);
      const first = carrier.start(keep, queue, 1, stays);
      await stays.wait();
      const second = carrier.start(keep, queue, 1, held);
      await held.wait();
      await killed(second);
      queue.taskDone();
      assert.equal(queue.joinSync({ timeout: 0 }), false, 'who lives may yet pay');
      await killed(first);
      await assert.rejects(queue.join(), lost(1));
      queue.taskDone();
      await queue.join();
    });

    test('an immediate shutdown elsewhere leaves to be paid what was got', LIMIT, async () => {
      using queue = new JoinableQueue();
      await queue.putMany([1, 2, 3]);
      queue.getNowait();
      const own = queue.join();
      await ended(carrier.start((given: typeof queue) => given.shutdown({ immediate: true }), queue));
      assert.equal(queue.joinSync({ timeout: 0 }), false);
      queue.taskDone();
      await own;
    });

    test('whatever consumers are killed over, what is unfinished is known to one', LIMIT, async () => {
      for (const Kind of [JoinableQueue, PriorityQueue]) {
        using queue = new Kind<string>(50);
        using all = numbers();
        const consume = async (given: typeof queue, seen: typeof all) => {
          for (;;) {
            if (Math.random() < 0.5) given.getSync();
            else for (const _ of (await given.getMany(3)).slice(1)) pay(given, seen);
            pay(given, seen);
          }
          function pay(it: typeof given, counts: typeof seen) {
            Atomics.add(counts.view, 0, 1);
            it.taskDone();
            Atomics.add(counts.view, 1, 1);
          }
        };
        let put = 0;
        for (let round = 0; round < ROUNDS; round++) {
          const consumers: Peer<unknown>[] = [1, 2].map(() => carrier.start(consume as never, queue, all));
          const until = all.view[1] + 100 + Math.floor(Math.random() * 200);
          while (all.view[1] < until) await queue.put(put++ % 3 === 0 ? 'x'.repeat(4000) : 'short');
          await killed(...consumers);
        }
        let left = 0;
        for (; !queue.empty(); left++) queue.getNowait();
        for (let i = 0; i < left; i++) queue.taskDone();
        const error = await queue.join().catch(thrown => thrown);
        const unfinished =
          error instanceof WorkerDiedError ? (error as never as { unfinished: number }).unfinished : 0;
        const paid = put - left - unfinished;
        assert.ok(paid >= all.view[1] && paid <= all.view[0], `${all.view[1]} <= ${paid} <= ${all.view[0]}`);
        for (let i = 0; i < unfinished; i++) queue.taskDone();
        assert.equal(queue.joinSync({ timeout: 0 }), true);
        assert.throws(() => queue.taskDone(), LifecycleError);
      }
    });
  });
}
