import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError, LockError } from '../errors/errors.js';
import { type Peer, threads } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, warmCarriers } from '../testing/sharing.js';
import { Condition } from './condition.js';
import { EventFlag } from './event-flag.js';
import { Lock } from './lock.js';
import { RLock } from './rlock.js';
import { FORMS, type Form, inLine, LIMIT, outcomeOf } from './testing/tools.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

/** Waits once. What came of it, and whether it had the lock then. */
async function waitOnce(condition: Condition, form: Form, timeout?: number): Promise<[boolean, boolean]> {
  const guard = form === 'async' ? await condition.acquire() : condition.acquireSync();
  const options = timeout === undefined ? {} : { timeout };
  const told = form === 'async' ? await condition.wait(options) : condition.waitSync(options);
  const had = condition.lock.locked();
  guard.release();
  return [told, had];
}

async function ended(...peers: readonly Peer<unknown>[]): Promise<unknown[]> {
  const results = await Promise.all(peers.map(peer => peer.result().catch(error => error.code)));
  await Promise.all(peers.map(peer => peer.join()));
  return results;
}

const TOLD = [true, true];

for (const Kind of [Lock, RLock]) {
  describe(`a condition over a ${Kind.name}`, () => {
    test('notify(n) wakes n of those that wait, those first that came first', LIMIT, async () => {
      using lock = new Kind();
      using condition = new Condition(lock);
      const order: number[] = [];
      const waits = Array.from({ length: 6 }, async (_, i) => {
        assert.deepEqual(await waitOnce(condition, 'async'), TOLD);
        order.push(i);
      });
      await inLine(condition, 6);
      await condition.lock.runExclusive(() => condition.notify(2));
      await Promise.all(waits.slice(0, 2));
      await inLine(condition, 4);
      await condition.lock.runExclusive(() => condition.notify(0));
      await condition.lock.runExclusive(() => condition.notify());
      await waits[2];
      await inLine(condition, 3);
      await condition.lock.runExclusive(() => condition.notifyAll());
      await Promise.all(waits);
      assert.deepEqual(order, [0, 1, 2, 3, 4, 5]);
    });

    test('a notify without waiters is lost; one for more than wait wakes no later one', LIMIT, async () => {
      using lock = new Kind();
      using condition = new Condition(lock);
      using _ = await lock.acquire();
      condition.notify(5);
      condition.notifyAll();
      assert.equal(await condition.wait({ timeout: 5 }), false);
      assert.equal(condition.waitSync({ timeout: 5 }), false);
      assert.equal(lock.locked(), true);
    });

    test('who gives up has the lock again, and does not use up a notify', LIMIT, async () => {
      using lock = new Kind();
      using condition = new Condition(lock);
      const controller = new AbortController();
      const aborted = lock.runExclusive(async () => {
        await assert.rejects(condition.wait({ signal: controller.signal }), /enough/);
        assert.equal(lock.locked(), true);
        assert.equal(condition.lock.isMine, true);
      });
      const timedOut = lock.runExclusive(async () => {
        assert.equal(await condition.wait({ timeout: 1 }), false);
        assert.equal(condition.lock.isMine, true);
      });
      await timedOut;
      const patient = waitOnce(condition, 'async');
      await inLine(condition, 2);
      controller.abort(new Error('enough'));
      await aborted;
      await lock.runExclusive(() => condition.notify());
      assert.deepEqual(await patient, TOLD);
      assert.equal(lock.locked(), false);
      const signal = AbortSignal.abort(new Error('before'));
      await lock.runExclusive(() => assert.rejects(condition.wait({ signal }), /before/));
      assert.equal(lock.locked(), false);
    });

    test('waits only with the lock held, and so does notify()', LIMIT, async () => {
      using lock = new Kind();
      using condition = new Condition(lock);
      const refused = /Cannot (wait for|notify) this Condition as its R?Lock \d+ is not held/;
      for (const act of [
        () => condition.wait(),
        async () => condition.waitSync(),
        () => condition.waitFor(() => true),
        async () => condition.waitForSync(() => true),
        async () => condition.notify(),
        async () => condition.notifyAll(),
      ])
        await assert.rejects(act(), error => error instanceof LockError && refused.test(error.message));
    });

    test(
      'waitFor() asks its predicate with the lock held, until it holds or the time runs out',
      LIMIT,
      async () => {
        using lock = new Kind();
        using condition = new Condition(lock);
        let value = 0;
        let asked = 0;
        const wait = lock.runExclusive(() =>
          condition.waitFor(() => {
            asked++;
            assert.equal(lock.locked(), true);
            return value === 3;
          }),
        );
        for (; value < 3; ) {
          await inLine(condition, 1);
          await lock.runExclusive(() => {
            value++;
            condition.notify();
          });
        }
        assert.equal(await wait, true);
        assert.equal(asked, 4);
        using _ = await lock.acquire();
        assert.equal(await condition.waitFor(() => false, { timeout: 5 }), false);
        assert.equal(
          condition.waitForSync(() => false, { timeout: 5 }),
          false,
        );
        assert.equal(await condition.waitFor(() => true, { timeout: 0 }), true);
        assert.equal(
          condition.waitForSync(() => true),
          true,
        );
        await assert.rejects(
          condition.waitFor(() => {
            throw new Error('inside');
          }),
          /inside/,
        );
        assert.equal(lock.locked(), true);
      },
    );

    test('a guard released while its owner waits means one level less when it is back', LIMIT, async () => {
      using lock = new Kind();
      using condition = new Condition(lock);
      const guard = await lock.acquire();
      const wait = condition.wait();
      guard.release();
      const other = await lock.acquire(); // which that has left alone
      assert.equal(lock.locked(), true);
      condition.notify();
      other.release();
      assert.equal(await wait, true);
      assert.equal(lock.locked(), false);
    });

    test('who waits when it is disposed of is told, with the lock held again', LIMIT, async () => {
      using lock = new Kind();
      const condition = new Condition(lock);
      const wait = lock.runExclusive(async () => {
        await assert.rejects(condition.wait(), ClosedError);
        assert.equal(condition.lock.isMine, true);
      });
      await inLine(condition, 1);
      condition[Symbol.dispose]();
      condition[Symbol.dispose]();
      await wait;
      assert.throws(() => condition.notify(), ClosedError);
    });
  });
}

test('a condition gives up all levels of its RLock, and takes all back', LIMIT, async () => {
  for (const form of FORMS) {
    using condition = new Condition();
    const { lock } = condition;
    using done = new EventFlag();
    const peer = threads.start(
      async (it: Condition, flag: EventFlag) => {
        using _ = it.lock.acquireSync();
        it.notify();
        flag.set();
      },
      condition,
      done,
    );
    const guards = [await lock.acquire(), await lock.acquire(), await lock.acquire()];
    if (form === 'async') await condition.wait();
    else condition.waitSync();
    assert.equal(done.isSet(), true);
    for (const guard of guards) {
      assert.equal(lock.locked(), true);
      guard.release();
    }
    assert.equal(lock.locked(), false);
    await ended(peer);
  }
});

test('its own lock goes with it; acquire() and release() are its lock’s', LIMIT, async () => {
  const condition = new Condition();
  (await condition.acquire()).release();
  condition.acquireSync();
  condition.release();
  assert.ok(condition.lock instanceof RLock);
  condition[Symbol.dispose]();
  assert.throws(() => condition.lock.locked(), ClosedError);
});

test('wrong arguments are refused', LIMIT, async () => {
  for (const lock of [null, {}, 'lock', 5]) assert.throws(() => new Condition(lock as never), TypeError);
  using condition = new Condition();
  using _ = condition.acquireSync();
  for (const n of [-1, 1.5, Number.NaN, '1']) assert.throws(() => condition.notify(n as never), RangeError);
  await assert.rejects(condition.wait({ timeout: -1 }), RangeError);
  assert.throws(() => condition.waitSync({ timeout: 'x' as never }), TypeError);
  assert.equal(await condition.wait({ timeout: 0 }), false);
});

for (const carrier of crowds) {
  describe(`a condition among ${carrier.name}`, () => {
    for (const form of FORMS) {
      test(`those that wait (${form}) are notified, as many as asked for`, LIMIT, async () => {
        using condition = new Condition();
        const peers = [0, 1, 2].map(() => carrier.start(waitOnce, condition, form));
        await inLine(condition, 3);
        const own = waitOnce(condition, 'async');
        await inLine(condition, 4);
        await condition.lock.runExclusive(() => condition.notify(3));
        assert.deepEqual(await ended(...peers), [TOLD, TOLD, TOLD]);
        await inLine(condition, 1);
        await condition.lock.runExclusive(() => condition.notifyAll());
        assert.deepEqual(await own, TOLD);
      });

      test(`notify() does not wait for those it wakes (${form})`, LIMIT, async () => {
        using condition = new Condition();
        const peer = carrier.start(waitOnce, condition, form);
        await inLine(condition, 1);
        {
          using _ = condition.acquireSync();
          condition.notify(); // and the woken cannot have the lock yet
          await inLine(condition, 0);
          await inLine(condition.lock, 1);
        }
        assert.deepEqual(await ended(peer), [TOLD]);
      });

      test(`one who waits (${form}) and dies is passed by`, LIMIT, async () => {
        using condition = new Condition();
        const victim = carrier.start(waitOnce, condition, form);
        await inLine(condition, 1);
        const own = waitOnce(condition, 'async');
        await inLine(condition, 2);
        victim.kill();
        await ended(victim);
        await condition.lock.runExclusive(() => condition.notify());
        assert.deepEqual(await own, TOLD);
      });

      test(`the wake of one (${form}) that dies before it has seen it goes to the next`, LIMIT, async () => {
        using condition = new Condition();
        const stuck = async (it: Condition, how: Form) => {
          await it.acquire();
          if (how === 'blocking') return it.waitSync();
          void it.wait();
          for (;;); // so it never sees it
        };
        const victim = carrier.start(stuck, condition, form);
        await inLine(condition, 1);
        const own = waitOnce(condition, 'async');
        await inLine(condition, 2);
        const guard = await condition.lock.acquire();
        if (form === 'blocking') victim.kill(); // dead or not, its wake is not lost
        condition.notify();
        victim.kill();
        guard.release();
        await ended(victim);
        if (form === 'blocking') await condition.lock.runExclusive(() => condition.notify()); // a living one may have seen it
        assert.deepEqual(await own, TOLD);
      });
    }

    test('a notifier that dies with the lock held leaves it to the woken, as abandoned', LIMIT, async () => {
      using condition = new Condition();
      const guard = await condition.lock.acquire();
      const die = async (it: Condition) => {
        await it.acquire();
        it.notify();
        process.exit(1);
      };
      const peer = carrier.start(die, condition);
      assert.equal(await condition.wait(), true);
      assert.equal(guard.abandoned, true);
      guard.release();
      assert.equal(condition.lock.locked(), false);
      await ended(peer);
    });

    test('a ping-pong of a thousand turns', LIMIT, async () => {
      using condition = new Condition();
      const TURNS = 1000;
      const play = async (it: Condition, own: number, turns: number) => {
        const { words, at } = it.lock.cell;
        using _ = await it.acquire();
        for (let i = 0; i < turns / 2; i++) {
          await it.waitFor(() => words[at + 8] % 2 === own);
          words[at + 8]++;
          it.notify();
        }
      };
      const peer = carrier.start(play, condition, 1, TURNS);
      await play(condition, 0, TURNS);
      await ended(peer);
      assert.equal(condition.lock.cell.words[condition.lock.cell.at + 8], TURNS);
    });

    test('who uses what is disposed of is told', LIMIT, async () => {
      const condition = new Condition();
      const wait = async (it: Condition) => [
        await outcomeOf(() => it.acquire().then(() => it.wait())),
        await outcomeOf(() => it.notify()),
      ];
      const peer = carrier.start(wait, condition);
      await inLine(condition, 1);
      condition[Symbol.dispose]();
      assert.deepEqual(await ended(peer), [['ERR_CLOSED', 'ERR_CLOSED']]);
    });
  });
}
