import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { LockError, TimeoutError } from '../errors/errors.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, warmCarriers } from '../testing/sharing.js';
import { EventFlag } from './event-flag.js';
import { Lock } from './lock.js';
import { RLock } from './rlock.js';
import { count, FORMS, type Form, faults, increment, inLine, LIMIT, outcomeOf } from './testing/tools.js';

/* What an RLock promises beyond a Lock: who its owner is, and its levels. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

describe('an RLock in one thread', () => {
  test('is acquired again by its owner in all forms, and held until released as often', LIMIT, async () => {
    using lock = new RLock();
    const guards = [await lock.acquire(), await lock.acquire(), lock.acquireSync(), lock.tryAcquire()];
    guards.push(await lock.acquire({ timeout: 0 }));
    await lock.runExclusive(async () => {
      await turn();
      await lock.runExclusive(() => lock.runExclusiveSync(() => lock.acquireSync().release()));
    });
    for (const guard of guards) {
      assert.equal(lock.locked(), true);
      guard?.release();
      guard?.release();
    }
    assert.equal(lock.locked(), false);
    for (let i = 0; i < 3; i++) await lock.acquire();
    for (let i = 0; i < 3; i++) lock.release();
    assert.throws(() => lock.release(), LockError);
  });

  test('two tasks that acquire it exclude each other; nested calls of one do not', LIMIT, async () => {
    using lock = new RLock();
    let inside = 0;
    const nest = async (depth: number): Promise<void> => {
      using _ = await lock.acquire();
      assert.equal(inside, 1);
      await turn();
      if (depth > 0) await nest(depth - 1);
      assert.equal(inside, 1);
    };
    const byGuards = async () => {
      using _ = await lock.acquire();
      assert.equal(++inside, 1);
      await nest(3);
      inside--;
    };
    const byFunctions = () =>
      lock.runExclusive(async () => {
        assert.equal(++inside, 1);
        await lock.runExclusive(() => nest(2));
        inside--;
      });
    await Promise.all([byGuards(), byFunctions(), byGuards(), byFunctions(), byGuards()]);
    assert.equal(lock.locked(), false);
  });

  test('whoever acquires it does not make its caller the owner', LIMIT, async () => {
    using lock = new RLock();
    using held = new EventFlag();
    using end = new EventFlag();
    const task = async () => {
      using _ = await lock.acquire();
      held.set();
      await end.wait();
    };
    const running = task();
    await held.wait();
    assert.equal(lock.tryAcquire(), null);
    assert.throws(() => lock.release(), LockError);
    await assert.rejects(lock.acquire({ timeout: 1 }), TimeoutError);
    assert.throws(() => lock.acquireSync({ timeout: 1 }), TimeoutError);
    end.set();
    await running;
    lock.tryAcquire()?.release();
    assert.equal(lock.locked(), false);
  });

  test('all that its owner starts is its owner: timers, events, parallel calls', LIMIT, async () => {
    using lock = new RLock();
    const again = () => {
      const guard = lock.tryAcquire();
      assert.ok(guard);
      guard.release();
    };
    await lock.runExclusive(async () => {
      await new Promise<void>(resolve => {
        setTimeout(() => resolve(again()), 1);
      });
      await new Promise<void>(resolve => {
        const emitter = new EventEmitter().on('it', () => resolve(again()));
        setImmediate(() => emitter.emit('it'));
      });
      process.nextTick(again);
      queueMicrotask(again);
      await Promise.all([
        turn().then(again),
        lock.acquire().then(it => it.release()),
        (async () => again())(),
      ]);
    });
    using _ = await lock.acquire();
    await Promise.all([turn().then(again), lock.runExclusive(again)]);
  });

  test('a flow that has lost it owns it no more, whatever it has started', LIMIT, async () => {
    using lock = new RLock();
    using go = new EventFlag();
    const late: Promise<unknown>[] = [];
    await lock.runExclusive(() => {
      late.push(go.wait().then(() => lock.tryAcquire()));
    });
    const own = await lock.acquire();
    go.set();
    assert.deepEqual(await Promise.all(late), [null]);
    own.release();
  });

  test(
    'what was acquired in blocking form within a flow outlasts that flow’s other lock',
    LIMIT,
    async () => {
      using outer = new Lock();
      using lock = new RLock();
      const guard = await outer.acquire();
      lock.acquireSync();
      guard.release();
      (await lock.acquire()).release();
      lock.acquireSync().release();
      lock.release();
      assert.equal(lock.locked(), false);
    },
  );

  test('what no flow acquires is the thread’s', LIMIT, async () => {
    using lock = new RLock();
    const guard = lock.acquireSync();
    await turn();
    (await lock.acquire()).release();
    await lock.runExclusive(() => assert.equal(lock.locked(), true));
    guard.release();
    assert.equal(lock.locked(), false);
  });

  test('nested calls look at their timeout and signal, too', LIMIT, async () => {
    using lock = new RLock();
    using _ = await lock.acquire();
    await assert.rejects(lock.acquire({ timeout: -1 }), RangeError);
    await assert.rejects(
      lock.runExclusive(() => {}, { timeout: -1 }),
      RangeError,
    );
    assert.throws(() => lock.acquireSync({ timeout: '1' as never }), TypeError);
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(lock.acquire({ signal }), /enough/);
    await assert.rejects(
      lock.runExclusive(() => {}, { signal }),
      /enough/,
    );
  });
});

for (const carrier of crowds) {
  describe(`an RLock among ${carrier.name}`, () => {
    test('is released by its owner alone', LIMIT, async () => {
      using lock = new RLock();
      using held = new EventFlag();
      using end = new EventFlag();
      const hold = async (it: RLock, isHeld: EventFlag, over: EventFlag) => {
        using _first = await it.acquire();
        using _second = await it.acquire();
        isHeld.set();
        await over.wait();
      };
      const peer = carrier.start(hold, lock, held, end);
      await held.wait();
      assert.throws(
        () => lock.release(),
        error => error instanceof LockError && /as its owner is another/.test(error.message),
      );
      assert.equal(lock.tryAcquire(), null);
      const own = lock.acquire();
      end.set();
      using _ = await own;
      const stranger = carrier.start((it: RLock) => outcomeOf(() => it.release()), lock);
      assert.equal(await stranger.result(), 'ERR_LOCK');
      await Promise.all([peer.join(), stranger.join()]);
    });

    for (const form of FORMS)
      test(`excludes them from one another (${form}), nested or not`, LIMIT, async () => {
        using lock = new RLock();
        const TIMES = 150;
        const work = async (it: RLock, how: Form, times: number) => {
          for (let i = 0; i < times; i++) {
            const outer = how === 'async' ? await it.acquire() : it.acquireSync();
            const inner = how === 'async' ? await it.acquire() : it.acquireSync();
            increment(it);
            inner.release();
            outer.release();
          }
        };
        const peers = [0, 1, 2].map(() => carrier.start(work, lock, form, TIMES));
        await Promise.all([work(lock, 'async', TIMES), work(lock, 'async', TIMES)]);
        await Promise.all(peers.map(peer => peer.result()));
        await Promise.all(peers.map(peer => peer.join()));
        assert.deepEqual([count(lock), faults(lock)], [5 * TIMES, 0]);
        assert.equal(lock.locked(), false);
      });

    test('comes without levels from an owner that died at several', LIMIT, async () => {
      using lock = new RLock();
      using held = new EventFlag();
      const die = async (it: RLock, isHeld: EventFlag) => {
        for (let i = 0; i < 5; i++) await it.acquire();
        isHeld.set();
        await new Promise(() => setInterval(() => {}, 1e6));
      };
      const peer = carrier.start(die, lock, held);
      await held.wait();
      const own = lock.acquire();
      await inLine(lock, 1);
      peer.kill();
      const guard = await own;
      assert.equal(guard.abandoned, true);
      guard.release();
      assert.equal(lock.locked(), false);
      await peer.result().catch(() => {});
      await peer.join();
    });
  });
}
