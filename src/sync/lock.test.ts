import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { ClosedError, LockError, TimeoutError } from '../errors/errors.js';
import { carriers, type Peer } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, warmCarriers } from '../testing/sharing.js';
import { EventFlag } from './event-flag.js';
import type { Guard } from './guard.js';
import { Lock } from './lock.js';
import {
  acquire,
  count,
  FORMS,
  type Form,
  faults,
  increment,
  inLine,
  LIMIT,
  outcomeOf,
} from './testing/tools.js';

/* What a Lock promises while nobody dies; lock-deaths.test.ts has the rest. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

/** Holds the lock until told otherwise. */
async function hold(lock: Lock, form: Form, held: EventFlag, end: EventFlag): Promise<boolean> {
  const guard = await acquire(lock, form);
  held.set();
  if (form === 'async') await end.wait();
  else end.waitSync();
  guard.release();
  return guard.abandoned;
}

async function ended(...peers: readonly Peer<unknown>[]): Promise<unknown[]> {
  const results = await Promise.all(peers.map(peer => peer.result()));
  await Promise.all(peers.map(peer => peer.join()));
  return results;
}

describe('a lock in one thread', () => {
  for (const form of FORMS) {
    test(`is held from acquire (${form}) to release(), by one`, LIMIT, async () => {
      using lock = new Lock();
      assert.equal(lock.locked(), false);
      const guard = await acquire(lock, form);
      assert.deepEqual([lock.locked(), guard.abandoned], [true, false]);
      assert.equal(lock.tryAcquire(), null);
      lock.release();
      assert.equal(lock.locked(), false);
      for (let i = 0; i < 3; i++) (await acquire(lock, form)).release();
      assert.equal(lock.locked(), false);
    });

    test(
      `is not had (${form}) when the time has run out, and nothing is left of the wait`,
      LIMIT,
      async () => {
        using lock = new Lock();
        const guard = lock.acquireSync();
        for (const timeout of [0, 1, 20])
          await assert.rejects(acquire(lock, form, { timeout }), error => {
            assert.ok(error instanceof TimeoutError);
            assert.match(
              error.message,
              new RegExp(`Cannot acquire Lock \\d+ as it was held for ${timeout} ms`),
            );
            return true;
          });
        await inLine(lock, 0);
        guard.release();
        assert.equal(lock.locked(), false);
        for (const timeout of [0, 1e-9, 2 ** 31, 2 ** 40, Number.POSITIVE_INFINITY])
          (await acquire(lock, form, { timeout })).release();
      },
    );

    test(`refuses wrong timeouts (${form}), be it free or held`, LIMIT, async () => {
      using lock = new Lock();
      for (let i = 0; i < 2; i++) {
        for (const timeout of [-1, Number.NaN, Number.NEGATIVE_INFINITY])
          await assert.rejects(acquire(lock, form, { timeout }), RangeError);
        for (const timeout of ['1', null, {}, 1n])
          await assert.rejects(acquire(lock, form, { timeout: timeout as number }), TypeError);
        assert.equal(lock.locked(), i === 1);
        if (i === 0) lock.acquireSync();
      }
      lock.release();
    });
  }

  test('tryAcquire() takes it or does not, at once', LIMIT, () => {
    using lock = new Lock();
    const guard = lock.tryAcquire();
    assert.equal(guard?.abandoned, false);
    assert.equal(lock.tryAcquire(), null);
    guard?.release();
    lock.tryAcquire()?.release();
    assert.equal(lock.locked(), false);
  });

  test('release() of what nobody holds is an error that says so', LIMIT, () => {
    using lock = new Lock();
    const refused = (error: unknown) =>
      error instanceof LockError && /Cannot release Lock \d+ as nobody holds it/.test(error.message);
    assert.throws(() => lock.release(), refused);
    lock.acquireSync().release();
    assert.throws(() => lock.release(), refused);
  });

  test('a guard gives back once, and only what is still its own', LIMIT, async () => {
    using lock = new Lock();
    const first = lock.acquireSync();
    first.release();
    first.release();
    const second = await lock.acquire();
    first.release();
    assert.equal(lock.locked(), true);
    lock.release();
    const third = lock.acquireSync();
    second.release(); // after the lock's own release() it does nothing
    assert.equal(lock.locked(), true);
    third[Symbol.dispose]();
    third[Symbol.dispose]();
    assert.equal(lock.locked(), false);
  });

  test('`using` releases at the end of the block, also when that is left by an error', LIMIT, async () => {
    using lock = new Lock();
    assert.throws(() => {
      using _ = lock.acquireSync();
      throw new Error('inside');
    }, /inside/);
    assert.equal(lock.locked(), false);
    {
      using _ = await lock.acquire();
      assert.equal(lock.locked(), true);
    }
    assert.equal(lock.locked(), false);
  });

  test('runExclusive() gives what its function gives, and releases however that ends', LIMIT, async () => {
    using lock = new Lock();
    assert.equal(await lock.runExclusive(() => lock.locked()), true);
    assert.equal(await lock.runExclusive(() => turn().then(() => lock.locked())), true);
    assert.equal(
      lock.runExclusiveSync(() => lock.locked()),
      true,
    );
    const broken = () => {
      throw new Error('inside');
    };
    await assert.rejects(lock.runExclusive(broken), /inside/);
    await assert.rejects(
      lock.runExclusive(() => turn().then(broken)),
      /inside/,
    );
    assert.throws(() => lock.runExclusiveSync(broken), /inside/);
    assert.equal(lock.locked(), false);
    await lock.runExclusive(() => lock.release()); // and what is released already, it leaves alone
    assert.equal(lock.locked(), false);
    using _ = lock.acquireSync();
    await assert.rejects(lock.runExclusive(broken, { timeout: 1 }), TimeoutError);
    assert.throws(() => lock.runExclusiveSync(broken, { timeout: 1 }), TimeoutError);
    const signal = AbortSignal.abort(new Error('enough'));
    await assert.rejects(lock.runExclusive(broken, { signal }), /enough/);
  });

  test('runExclusive() calls exclude one another', LIMIT, async () => {
    using lock = new Lock();
    let inside = 0;
    const seen = await Promise.all(
      Array.from({ length: 50 }, (_, i) =>
        lock.runExclusive(async () => {
          assert.equal(++inside, 1);
          await turn();
          inside--;
          return i;
        }),
      ),
    );
    assert.deepEqual(seen, [...seen.keys()]);
  });

  test('who waits gets it in order of arrival', LIMIT, async () => {
    using lock = new Lock();
    const guard = lock.acquireSync();
    const order: number[] = [];
    const all = Array.from({ length: 20 }, async (_, i) => {
      using _guard = await lock.acquire();
      order.push(i);
    });
    await inLine(lock, 20);
    guard.release();
    await Promise.all(all);
    assert.deepEqual(order, [...order.keys()]);
    assert.equal(order.length, 20);
  });

  test(
    'one who was called and finds another in its place has it next, before all others',
    LIMIT,
    async () => {
      using lock = new Lock();
      const guard = lock.acquireSync();
      const order: string[] = [];
      const pass = (name: string, own: Guard) => {
        order.push(name);
        own.release();
      };
      const first = lock.acquire().then(it => pass('first', it));
      const second = lock.acquire().then(it => pass('second', it));
      guard.release(); // calls the first, who cannot go on before this turn ends
      const quick = lock.acquireSync();
      const third = lock.acquire().then(it => pass('third', it));
      await turn();
      assert.deepEqual(order, []);
      quick.release();
      assert.equal(lock.tryAcquire(), null); // given, so it is not to be had
      assert.equal(lock.locked(), true);
      await Promise.all([first, second, third]);
      assert.deepEqual(order, ['first', 'second', 'third']);
      assert.equal(lock.locked(), false);
    },
  );

  test(
    'a signal aborted before, during and after: its reason, untouched, and nobody else loses a turn',
    LIMIT,
    async () => {
      using lock = new Lock();
      const reason = { any: 'value' };
      const is = (error: unknown) => error === reason;
      await assert.rejects(lock.acquire({ signal: AbortSignal.abort(reason) }), is);
      assert.equal(lock.locked(), false);

      const guard = lock.acquireSync();
      await assert.rejects(lock.acquire({ signal: AbortSignal.abort(reason) }), is);
      const during = new AbortController();
      const aborted = lock.acquire({ signal: during.signal });
      const next = lock.acquire();
      await inLine(lock, 2);
      during.abort(reason);
      await assert.rejects(aborted, is);
      await inLine(lock, 1);

      const late = new AbortController();
      const called = lock.acquire({ signal: late.signal });
      guard.release();
      (await next).release();
      const its = await called;
      late.abort(reason); // it has it: too late
      assert.equal(lock.locked(), true);
      its.release();
      assert.equal(lock.locked(), false);
    },
  );

  test(
    'one who is called and then aborted, having been overtaken, leaves the turn to the next',
    LIMIT,
    async () => {
      using lock = new Lock();
      const guard = lock.acquireSync();
      const controller = new AbortController();
      const first = lock.acquire({ signal: controller.signal });
      const second = lock.acquire();
      guard.release();
      const quick = lock.acquireSync();
      controller.abort(new Error('enough'));
      await assert.rejects(first, /enough/);
      quick.release();
      (await second).release();
      assert.equal(lock.locked(), false);
    },
  );

  test('the same when its time runs out', LIMIT, async () => {
    using lock = new Lock();
    const guard = lock.acquireSync();
    const first = lock.acquire({ timeout: 30 });
    const second = lock.acquire();
    guard.release();
    const quick = lock.acquireSync();
    await assert.rejects(first, TimeoutError);
    quick.release();
    (await second).release();
    assert.equal(lock.locked(), false);
  });

  test('a blocking wait gets it though an async one of the same thread was called first', LIMIT, async () => {
    for (const form of FORMS) {
      using lock = new Lock();
      using held = new EventFlag();
      using end = new EventFlag();
      const peer = carriers[0].start(hold, lock, form, held, end);
      await held.wait();
      const first = lock.acquire();
      const second = lock.acquire();
      end.set();
      const own = lock.acquireSync(); // the event loop stands still: neither can go on
      assert.equal(lock.tryAcquire(), null);
      own.release();
      (await first).release();
      (await second).release();
      assert.equal(lock.locked(), false);
      await ended(peer);
    }
  });

  test(
    'a thread that blocks elsewhere does not keep a turn that its event loop has not seen',
    LIMIT,
    async () => {
      using lock = new Lock();
      using held = new EventFlag();
      using end = new EventFlag();
      const guard = lock.acquireSync();
      const given = lock.acquire().then(it => it.release());
      const peer = carriers[0].start(hold, lock, 'blocking', held, end);
      await inLine(lock, 2);
      guard.release();
      assert.equal(held.waitSync({ timeout: 20_000 }), true); // by the peer, who stood behind
      end.set();
      await Promise.all([given, ended(peer)]);
      assert.equal(lock.locked(), false);
    },
  );

  test('nor a lock that it was given', LIMIT, async () => {
    using lock = new Lock();
    using held = new EventFlag();
    using end = new EventFlag();
    const guard = lock.acquireSync();
    const given = lock.acquire().then(it => it.release());
    guard.release();
    const quick = lock.acquireSync();
    await turn(); // `given` was called in vain, and now asks to be given it
    const peer = carriers[0].start(hold, lock, 'blocking', held, end);
    await inLine(lock, 2);
    quick.release();
    assert.equal(held.waitSync({ timeout: 20_000 }), true);
    end.set();
    await Promise.all([given, ended(peer)]);
    assert.equal(lock.locked(), false);
  });

  test('use after dispose is an error in all forms; a second dispose does nothing', LIMIT, async () => {
    const lock = new Lock();
    const guard = lock.acquireSync();
    lock[Symbol.dispose]();
    lock[Symbol.dispose]();
    guard.release();
    for (const act of [
      () => lock.acquire(),
      () => lock.acquire({ timeout: 0 }),
      async () => lock.acquireSync(),
      async () => lock.tryAcquire(),
      async () => lock.release(),
      async () => lock.locked(),
      () => lock.runExclusive(() => 1),
      async () => lock.runExclusiveSync(() => 1),
    ])
      await assert.rejects(act(), ClosedError);
  });

  test('who waits when it is disposed of is told', LIMIT, async () => {
    const lock = new Lock();
    lock.acquireSync();
    const waits = [lock.acquire(), lock.acquire({ timeout: 1000 }), lock.runExclusive(() => 1)];
    lock[Symbol.dispose]();
    for (const wait of waits) await assert.rejects(wait, ClosedError);
  });

  test('wrong options are refused', () => {
    for (const options of [null, 5, 'name', true]) assert.throws(() => new Lock(options as never), TypeError);
  });

  test('a lock that was never passed on is freed with its last reference', LIMIT, async () => {
    const { setFlagsFromString } = await import('node:v8');
    setFlagsFromString('--expose-gc');
    const gc = (await import('node:vm')).runInNewContext('gc') as () => void;
    setFlagsFromString('--no-expose-gc');
    (() => {
      for (let i = 0; i < 100; i++) new Lock().acquireSync().release();
    })();
    for (let i = 0; i < 5; i++) {
      await turn();
      gc();
    }
    // leavesNoBlocks() does the rest
  });
});

for (const carrier of crowds) {
  describe(`a lock among ${carrier.name}`, () => {
    for (const form of FORMS) {
      test(`excludes them from one another (${form})`, LIMIT, async () => {
        using lock = new Lock();
        const TIMES = 300;
        const work = async (it: Lock, how: Form, times: number) => {
          for (let i = 0; i < times; i++) {
            const guard = await acquire(it, how);
            increment(it);
            guard.release();
          }
        };
        const peers = [0, 1, 2].map(() => carrier.start(work, lock, form, TIMES));
        await work(lock, 'async', TIMES);
        await ended(...peers);
        assert.deepEqual([count(lock), faults(lock)], [4 * TIMES, 0]);
        assert.equal(lock.locked(), false);
      });

      test(`is waited for (${form}) until another releases it`, LIMIT, async () => {
        using lock = new Lock();
        using held = new EventFlag();
        using end = new EventFlag();
        const peer = carrier.start(hold, lock, form, held, end);
        await held.wait();
        assert.equal(lock.locked(), true);
        assert.equal(lock.tryAcquire(), null);
        await assert.rejects(acquire(lock, form, { timeout: 5 }), TimeoutError);
        const wait = lock.acquire();
        await inLine(lock, 1);
        end.set();
        const guard = await wait;
        assert.equal(guard.abandoned, false);
        guard.release();
        assert.deepEqual(await ended(peer), [false]);
      });

      test(`is had in order of arrival (${form})`, LIMIT, async () => {
        using lock = new Lock();
        const guard = lock.acquireSync();
        const take = async (it: Lock, how: Form) => {
          const own = await acquire(it, how);
          increment(it);
          const place = count(it);
          own.release();
          return place;
        };
        const peers: Peer<number>[] = [];
        const own: Promise<number>[] = [];
        for (let i = 0; i < 3; i++) {
          peers.push(carrier.start(take, lock, form));
          await inLine(lock, 2 * i + 1);
          own.push(take(lock, 'async'));
          await inLine(lock, 2 * i + 2);
        }
        guard.release();
        assert.deepEqual(await Promise.all(own), [2, 4, 6]);
        assert.deepEqual(await ended(...peers), [1, 3, 5]);
      });

      test(`one who gives up (${form}) is not given it, and those behind are`, LIMIT, async () => {
        using lock = new Lock();
        const guard = lock.acquireSync();
        const impatient = carrier.start(
          (it: Lock, how: Form) => outcomeOf(() => acquire(it, how, { timeout: 1 })),
          lock,
          form,
        );
        assert.deepEqual(await ended(impatient), ['ERR_TIMEOUT']);
        const patient = carrier.start(
          async (it: Lock, how: Form) => (await acquire(it, how)).release(),
          lock,
          form,
        );
        await inLine(lock, 1);
        guard.release();
        await ended(patient);
        assert.equal(lock.locked(), false);
      });

      test(
        `who waits for it (${form}) is told when it is disposed of, and so is who comes later`,
        LIMIT,
        async () => {
          const lock = new Lock();
          using disposed = new EventFlag();
          const guard = lock.acquireSync();
          const wait = async (it: Lock, how: Form, gone: EventFlag) => {
            const waiting = await outcomeOf(() => acquire(it, how));
            gone.waitSync();
            return [waiting, await outcomeOf(() => acquire(it, how)), await outcomeOf(() => it.release())];
          };
          const peers = [0, 1].map(() => carrier.start(wait, lock, form, disposed));
          await inLine(lock, 2);
          lock[Symbol.dispose]();
          disposed.set();
          guard.release();
          const told = ['ERR_CLOSED', 'ERR_CLOSED', 'ERR_CLOSED'];
          assert.deepEqual(await ended(...peers), [told, told]);
        },
      );
    }

    test('may be released by another than its owner, whose guard is void then', LIMIT, async () => {
      using lock = new Lock();
      const guard = await lock.acquire();
      await ended(carrier.start((it: Lock) => it.release(), lock));
      assert.equal(lock.locked(), false);
      const again = lock.acquireSync();
      guard.release();
      assert.equal(lock.locked(), true);
      again.release();
      assert.deepEqual(await ended(carrier.start((it: Lock) => outcomeOf(() => it.release()), lock)), [
        'ERR_LOCK',
      ]);
    });

    test('a release by another hands it to the one that waits', LIMIT, async () => {
      using lock = new Lock();
      lock.acquireSync();
      const next = lock.acquire();
      await inLine(lock, 1);
      await ended(carrier.start((it: Lock) => it.release(), lock));
      (await next).release();
      assert.equal(lock.locked(), false);
    });

    test('each of many gets it again and again', LIMIT, async () => {
      using lock = new Lock();
      using go = new EventFlag();
      const [PEERS, TASKS, TIMES] = [3, 16, 20];
      const work = async (it: Lock, start: EventFlag, tasks: number, times: number) => {
        await start.wait();
        let longest = 0;
        const one = async () => {
          for (let i = 0; i < times; i++) {
            const begun = performance.now();
            const guard = await it.acquire();
            longest = Math.max(longest, performance.now() - begun);
            increment(it);
            guard.release();
          }
        };
        await Promise.all(Array.from({ length: tasks }, one));
        return longest;
      };
      const peers = Array.from({ length: PEERS }, () => carrier.start(work, lock, go, TASKS, TIMES));
      go.set();
      await work(lock, go, TASKS, TIMES);
      await ended(...peers);
      assert.deepEqual([count(lock), faults(lock)], [(PEERS + 1) * TASKS * TIMES, 0]);
      assert.equal(lock.locked(), false);
    });
  });
}
