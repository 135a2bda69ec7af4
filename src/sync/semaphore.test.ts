import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError, LockError, TimeoutError } from '../errors/errors.js';
import { stats } from '../memory/allocator.js';
import { forked, type Peer } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import {
  crowds,
  ended,
  killed,
  LIMIT,
  type Numbers,
  numbers,
  untilIs,
  untilWaiting,
  warmCarriers,
} from '../testing/sharing.js';
import type { Guard } from './guard.js';
import { BoundedSemaphore, Semaphore } from './semaphore.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

/** What a semaphore says of itself, and what can be had of it. */
function assertFree(semaphore: Semaphore, permits: number): void {
  assert.equal(semaphore.getValue(), permits);
  const guards = Array.from({ length: permits }, () => semaphore.tryAcquire());
  assert.ok(guards.every(guard => guard !== null));
  assert.equal(semaphore.tryAcquire(), null);
  for (const guard of guards) guard?.release();
  assert.equal(semaphore.getValue(), permits);
}

for (const Kind of [Semaphore, BoundedSemaphore]) {
  describe(Kind.name, () => {
    test('has one permit unless told otherwise', () => {
      using semaphore = new Kind();
      assertFree(semaphore, 1);
      using none = new Kind(0);
      assertFree(none, 0);
      using many = new Kind(7);
      assertFree(many, 7);
      using most = new Kind(2 ** 31 - 1);
      assert.equal(most.getValue(), 2 ** 31 - 1);
      most.acquireSync();
      assert.equal(most.getValue(), 2 ** 31 - 2);
    });

    test('refuses what is no number of permits', () => {
      for (const value of [-1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])
        assert.throws(() => new Kind(value), RangeError);
      for (const value of ['1', 1n, null, {}])
        assert.throws(() => new Kind(value as unknown as number), TypeError);
      assert.throws(() => new Kind(1, null as never), TypeError);
    });

    test('counts down with each permit taken, and up with each given back', async () => {
      using semaphore = new Kind(3);
      const first = semaphore.acquireSync();
      const second = await semaphore.acquire();
      assert.equal(semaphore.getValue(), 1);
      const third = semaphore.tryAcquire();
      assert.ok(third);
      assert.deepEqual(
        [first, second, third].map(({ abandoned }) => abandoned),
        [false, false, false],
      );
      assert.equal(semaphore.getValue(), 0);
      assert.equal(semaphore.tryAcquire(), null);
      second.release();
      assert.equal(semaphore.getValue(), 1);
      second.release();
      second[Symbol.dispose]();
      assert.equal(semaphore.getValue(), 1, 'a guard gives back once');
      first.release();
      third.release();
      assertFree(semaphore, 3);
    });

    test('release() pays for what this thread has acquired, and its guard does nothing any more', async () => {
      using semaphore = new Kind(2);
      const [first, second] = [semaphore.acquireSync(), semaphore.acquireSync()];
      semaphore.release();
      assert.equal(semaphore.getValue(), 1);
      first.release();
      assert.equal(semaphore.getValue(), 1, 'the oldest was paid for');
      second.release();
      assert.equal(semaphore.getValue(), 2);
      using guard = await semaphore.acquire();
      semaphore.release();
      const other = semaphore.acquireSync();
      guard.release();
      assert.equal(semaphore.getValue(), 1);
      other.release();
      assertFree(semaphore, 2);
    });

    test('release(n) gives n at once', async () => {
      using semaphore = new Kind(4);
      for (let i = 0; i < 4; i++) semaphore.acquireSync();
      const waits = Array.from({ length: 3 }, () => semaphore.acquire());
      semaphore.release(3);
      await Promise.all(waits);
      assert.equal(semaphore.getValue(), 0);
      semaphore.release(4);
      assertFree(semaphore, 4);
    });

    test('release() of no whole number from 1 on is refused, and changes nothing', () => {
      using semaphore = new Kind(2);
      using _guard = semaphore.acquireSync();
      for (const n of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, '1'])
        assert.throws(() => semaphore.release(n as number), RangeError);
      assert.equal(semaphore.getValue(), 1);
    });

    test('those who wait are served in order of arrival, and nobody slips in between', LIMIT, async () => {
      using semaphore = new Kind(2);
      const held = [semaphore.acquireSync(), semaphore.acquireSync()];
      const order: number[] = [];
      const waits = Array.from({ length: 20 }, async (_, i) => {
        using _guard = await semaphore.acquire();
        order.push(i);
      });
      held[0].release();
      assert.equal(semaphore.tryAcquire(), null, 'what was given back belongs to the first in line');
      held[1].release();
      await Promise.all(waits);
      assert.deepEqual(
        order,
        waits.map((_, i) => i),
      );
      assertFree(semaphore, 2);
    });

    test('a wait that runs out of time leaves all as it was', LIMIT, async () => {
      using semaphore = new Kind(1);
      const guard = semaphore.acquireSync();
      for (const timeout of [0, 0.001, 5]) {
        await assert.rejects(semaphore.acquire({ timeout }), TimeoutError);
        assert.throws(() => semaphore.acquireSync({ timeout }), TimeoutError);
      }
      const patient = semaphore.acquire({ timeout: 2 ** 40 });
      const forever = semaphore.acquire({ timeout: Number.POSITIVE_INFINITY });
      guard.release();
      (await patient).release();
      (await forever).release();
      (await semaphore.acquire({ timeout: 0 })).release();
      semaphore.acquireSync({ timeout: 0 }).release();
      assertFree(semaphore, 1);
    });

    test('a timeout that is none is refused, and takes nothing', async () => {
      using semaphore = new Kind(1);
      for (const timeout of [-1, Number.NaN]) {
        await assert.rejects(semaphore.acquire({ timeout }), RangeError);
        assert.throws(() => semaphore.acquireSync({ timeout }), RangeError);
      }
      for (const timeout of ['1', null]) {
        await assert.rejects(semaphore.acquire({ timeout: timeout as never }), TypeError);
        assert.throws(() => semaphore.acquireSync({ timeout: timeout as never }), TypeError);
      }
      assertFree(semaphore, 1);
    });

    test('a signal counts before and during the wait, and not after it', LIMIT, async () => {
      using semaphore = new Kind(1);
      const reason = new Error('enough');
      await assert.rejects(semaphore.acquire({ signal: AbortSignal.abort(reason) }), reason);
      assert.equal(semaphore.getValue(), 1);
      const late = new AbortController();
      const guard = await semaphore.acquire({ signal: late.signal });
      late.abort();
      assert.equal(semaphore.getValue(), 0);
      const during = new AbortController();
      const [first, second] = [semaphore.acquire({ signal: during.signal }), semaphore.acquire()];
      during.abort(reason);
      await assert.rejects(first, reason);
      guard.release();
      (await second).release();
      assertFree(semaphore, 1);
    });

    test('a permit that was given before the signal counts', LIMIT, async () => {
      using semaphore = new Kind(1);
      const guard = semaphore.acquireSync();
      const controller = new AbortController();
      const wait = semaphore.acquire({ signal: controller.signal });
      guard.release();
      controller.abort();
      (await wait).release();
      assertFree(semaphore, 1);
    });

    test('one that is disposed of is closed to all who use it or wait for it', LIMIT, async () => {
      const semaphore = new Kind(1);
      const guard = semaphore.acquireSync();
      const waits = [semaphore.acquire(), semaphore.acquire({ timeout: 1e6 })];
      semaphore[Symbol.dispose]();
      for (const wait of waits) await assert.rejects(wait, ClosedError);
      guard.release();
      semaphore[Symbol.dispose]();
      assert.throws(() => semaphore.getValue(), ClosedError);
      assert.throws(() => semaphore.release(), ClosedError);
      assert.throws(() => semaphore.tryAcquire(), ClosedError);
      assert.throws(() => semaphore.acquireSync(), ClosedError);
      await assert.rejects(semaphore.acquire(), ClosedError);
    });

    for (const crowd of Kind === Semaphore ? crowds : crowds.slice(-1)) {
      describe(`over ${crowd.name}`, () => {
        test('never more hold permits than there are', LIMIT, async () => {
          using semaphore = new Kind(3);
          using count = numbers();
          const worker = async (there: Semaphore, seen: Numbers, blocking: boolean) => {
            const { view } = seen;
            let most = 0;
            for (let i = 0; i < 300; i++) {
              const guard = blocking ? there.acquireSync() : await there.acquire();
              most = Math.max(most, Atomics.add(view, 0, 1) + 1);
              for (let spin = i % 7; spin > 0; spin--) Atomics.load(view, 1);
              if (!blocking && i % 50 === 0) await new Promise(setImmediate);
              Atomics.sub(view, 0, 1);
              guard.release();
            }
            return most;
          };
          const peers = Array.from({ length: 6 }, (_, i) =>
            crowd.start(worker, semaphore, count, i % 2 === 0),
          );
          for (const most of await ended(...peers)) assert.ok(most <= 3, `${most} at once`);
          assert.equal(count.view[0], 0);
          assertFree(semaphore, 3);
        });

        test(
          'permits of a holder that is killed come back, to who waits and to who comes later',
          LIMIT,
          async () => {
            using semaphore = new Kind(3);
            using count = numbers();
            const holder = crowd.start(
              (there: Semaphore, seen: Numbers) => {
                there.acquireSync();
                there.acquireSync();
                Atomics.store(seen.view, 0, 1);
                setInterval(() => {}, 1e6);
              },
              semaphore,
              count,
            );
            await untilIs(count, 0, 1);
            const own = semaphore.acquireSync();
            const wait = semaphore.acquire();
            const begun = performance.now();
            const kill = killed(holder);
            const heir = await wait;
            await kill;
            assert.ok(performance.now() - begun < 1000);
            assert.equal(heir.abandoned, true);
            assert.equal(semaphore.getValue(), 1);
            const later = semaphore.acquireSync();
            assert.equal(later.abandoned, true);
            for (const guard of [own, heir, later]) guard.release();
            const next = semaphore.acquireSync();
            assert.equal(next.abandoned, false);
            next.release();
            assertFree(semaphore, 3);
          },
        );

        test('so do those of one that ends by an error or in order with permits in hand', LIMIT, async () => {
          using semaphore = new Kind(2);
          using count = numbers();
          const holder = (there: Semaphore, seen: Numbers, how: string) => {
            there.acquireSync();
            Atomics.add(seen.view, 0, 1);
            const timer = setInterval(() => {
              if (Atomics.load(seen.view, 1) === 0) return;
              clearInterval(timer);
              if (how === 'exit') process.exit(0);
              if (how === 'throw') throw new Error('as planned');
            }, 5);
          };
          for (const how of ['exit', 'throw', 'end']) {
            count.view.fill(0);
            const peers = [0, 1].map(() => crowd.start(holder, semaphore, count, how));
            for (const peer of peers) peer.on('error', () => {});
            await untilIs(count, 0, 2);
            assert.equal(semaphore.getValue(), 0);
            const wait = semaphore.acquire();
            Atomics.store(count.view, 1, 1);
            const guard = await wait;
            assert.equal(guard.abandoned, true, how);
            for (const peer of peers) await peer.join();
            assert.equal(semaphore.getValue(), 1);
            const other = semaphore.acquireSync();
            assert.equal(other.abandoned, true, how);
            guard.release();
            other.release();
          }
          assertFree(semaphore, 2);
        });

        test('one that waits and is killed is passed over', LIMIT, async () => {
          using semaphore = new Kind(1);
          const guard = semaphore.acquireSync();
          const wait = (there: Semaphore, blocking: boolean) => {
            if (blocking) there.acquireSync();
            else void there.acquire();
          };
          const peers = [crowd.start(wait, semaphore, true), crowd.start(wait, semaphore, false)];
          await untilWaiting(semaphore, 2);
          const last = semaphore.acquire();
          await killed(...peers);
          guard.release();
          (await last).release();
          assertFree(semaphore, 1);
        });

        test('one that is killed before it sees what it was given loses it to the next', LIMIT, async () => {
          using semaphore = new Kind(1);
          using count = numbers();
          const guard = semaphore.acquireSync();
          const peer = crowd.start(
            (there: Semaphore, seen: Numbers) => {
              void there.acquire();
              Atomics.store(seen.view, 0, 1);
              for (;;); // so it never looks
            },
            semaphore,
            count,
          );
          await untilIs(count, 0, 1);
          const next = semaphore.acquire();
          guard.release();
          assert.equal(semaphore.getValue(), 0);
          const kill = killed(peer);
          const heir = await next;
          await kill;
          assert.equal(heir.abandoned, true);
          heir.release();
          assertFree(semaphore, 1);
        });

        test('one that is disposed of elsewhere is closed here', LIMIT, async () => {
          const semaphore = new Kind(1);
          const guard = semaphore.acquireSync();
          const wait = (there: Semaphore, blocking: boolean) => {
            const code = (error: NodeJS.ErrnoException) => error.code;
            if (!blocking) return there.acquire().then(() => 'acquired', code);
            try {
              there.acquireSync();
              return 'acquired';
            } catch (error) {
              return code(error as Error);
            }
          };
          const peers = [crowd.start(wait, semaphore, true), crowd.start(wait, semaphore, false)];
          await untilWaiting(semaphore, 2);
          await ended(crowd.start(there => there[Symbol.dispose](), semaphore));
          assert.deepEqual(await ended(...peers), ['ERR_CLOSED', 'ERR_CLOSED']);
          assert.throws(() => semaphore.acquireSync(), ClosedError);
          guard.release();
        });
      });
    }
  });
}

test('a Semaphore may be released by one who has acquired nothing, which adds a permit', () => {
  using semaphore = new Semaphore(0);
  semaphore.release();
  semaphore.release(2);
  assertFree(semaphore, 3);
  using most = new Semaphore(2 ** 31 - 2);
  assert.throws(() => most.release(2), LockError);
  most.release();
  assert.throws(() => most.release(), LockError);
  assert.equal(most.getValue(), 2 ** 31 - 1);
});

test('a BoundedSemaphore refuses a release too many, and its value stays', async () => {
  using semaphore = new BoundedSemaphore(2);
  assert.throws(() => semaphore.release(), LockError);
  const guard = await semaphore.acquire();
  assert.throws(() => semaphore.release(2), LockError);
  assert.equal(semaphore.getValue(), 1);
  semaphore.release();
  assert.throws(() => semaphore.release(), { name: 'LockError', code: 'ERR_LOCK' });
  guard.release();
  assertFree(semaphore, 2);
});

test(
  'each release of a signal reaches one who waits, though none has seen the one before',
  LIMIT,
  async () => {
    using semaphore = new Semaphore(0);
    const waits = Array.from({ length: 5 }, () => semaphore.acquire());
    for (let i = 0; i < 3; i++) semaphore.release();
    await Promise.all(waits.slice(0, 3));
    assert.equal(semaphore.getValue(), 0);
    semaphore.release(4);
    await Promise.all(waits);
    assertFree(semaphore, 2);
  },
);

test('who was given a permit that another paid for has acquired it, and owes nothing', LIMIT, async () => {
  using semaphore = new BoundedSemaphore(1);
  const first = semaphore.acquireSync();
  const waits = [semaphore.acquire(), semaphore.acquire()];
  semaphore.release(); // for the first, whose guard does nothing from now on; the second has it and sleeps
  semaphore.release(); // for the second
  semaphore.release(); // for the third
  assert.throws(() => semaphore.release(), LockError);
  const guards = await Promise.all(waits);
  assert.equal(semaphore.getValue(), 1);
  for (const guard of [first, ...guards]) guard.release();
  assertFree(semaphore, 1);
});

test('guards that others have paid for do not pile up', LIMIT, async () => {
  class Opened extends Semaphore {
    get count() {
      return this.guards.size;
    }
  }
  using own = new Opened(0);
  for (let i = 0; i < 1000; i++) {
    own.release();
    own.acquireSync();
  }
  assert.ok(own.count <= 1, 'its own are paid for first');
  for (const crowd of crowds) {
    using there = new Semaphore(0);
    using back = new Semaphore(0);
    const consumer = crowd.start(
      async (signal: Semaphore, answer: Semaphore) => {
        for (let i = 0; i < 500; i++) {
          await signal.acquire();
          answer.release();
        }
        return (signal as unknown as { guards: { size: number } }).guards.size;
      },
      there,
      back,
    );
    for (let i = 0; i < 500; i++) {
      there.release();
      await back.acquire();
    }
    const [left] = await ended(consumer);
    assert.ok(left < 200, `${left} guards in ${crowd.name}`);
  }
});

test('a thread that blocks passes on what its async waits have been given', LIMIT, async () => {
  using semaphore = new BoundedSemaphore(1);
  const guard = semaphore.acquireSync();
  const wait = semaphore.acquire();
  guard.release(); // the wait has it, and cannot know before this thread goes on
  const own = semaphore.acquireSync({ timeout: 10_000 });
  own.release();
  (await wait).release();
  assertFree(semaphore, 1);
});

for (const crowd of crowds) {
  test(`so that ${crowd.name} have it`, LIMIT, async () => {
    using semaphore = new Semaphore(1);
    using done = new Semaphore(0);
    const guard = semaphore.acquireSync();
    const wait = semaphore.acquire();
    const peer = crowd.start(
      (there: Semaphore, tell: Semaphore) => {
        there.acquireSync().release();
        tell.release();
      },
      semaphore,
      done,
    );
    await untilWaiting(semaphore, 2);
    guard.release();
    done.acquireSync({ timeout: 10_000 });
    (await wait).release();
    await ended(peer);
    assertFree(semaphore, 1);
  });

  test(`signals from here reach ${crowd.name}, each one once`, LIMIT, async () => {
    using semaphore = new Semaphore(0);
    using count = numbers();
    const consumer = async (there: Semaphore, seen: Numbers, blocking: boolean) => {
      for (let i = 0; i < 100; i++) {
        if (blocking) there.acquireSync();
        else await there.acquire();
        Atomics.add(seen.view, 0, 1);
      }
      there.release(100); // what it has acquired it owes
    };
    const peers = [true, false, true].map(blocking => crowd.start(consumer, semaphore, count, blocking));
    for (let i = 0; i < 300; i++) semaphore.release();
    await ended(...peers);
    assert.equal(count.view[0], 300);
    assert.equal(semaphore.getValue(), 300);
  });

  test(`each death of a holder among ${crowd.name} is told with one permit`, LIMIT, async () => {
    using semaphore = new Semaphore(4);
    using count = numbers();
    const hold = (there: Semaphore, seen: Numbers) => {
      there.acquireSync();
      Atomics.add(seen.view, 0, 1);
      setInterval(() => {}, 1e6);
    };
    const peers = [1, 2].map(() => crowd.start(hold, semaphore, count));
    await untilIs(count, 0, 2);
    await killed(...peers);
    const guards = Array.from({ length: 4 }, () => semaphore.acquireSync());
    assert.equal(guards.filter(({ abandoned }) => abandoned).length, 2);
    for (const guard of guards) guard.release();
    assertFree(semaphore, 4);
  });

  test(`those of ${crowd.name} who wait keep their places when others die`, LIMIT, async () => {
    using semaphore = new Semaphore(1);
    using count = numbers(32);
    const guard = semaphore.acquireSync();
    const worker = (there: Semaphore, seen: Numbers, blocking: boolean) => {
      const arrive = () => seen.set(1 + Atomics.add(seen.view, 0, 1), process.pid);
      if (blocking) {
        const got = there.acquireSync();
        arrive();
        got.release();
        return process.pid;
      }
      return there.acquire().then(got => {
        arrive();
        got.release();
        return process.pid;
      });
    };
    const peers: Peer<unknown>[] = [];
    for (let i = 0; i < 6; i++) {
      peers.push(crowd.start(worker, semaphore, count, i % 2 === 0));
      await untilWaiting(semaphore, i + 1);
    }
    await killed(peers[0], peers[3]);
    await untilWaiting(semaphore, 4);
    guard.release();
    const pids = await ended(...[1, 2, 4, 5].map(i => peers[i]));
    assert.deepEqual([...count.view.subarray(1, 5)], pids);
    assertFree(semaphore, 1);
  });
}

test('10,000 hold permits at once, and the memory for that goes back', { timeout: 120_000 }, async () => {
  using semaphore = new Semaphore(10_000);
  const before = stats().used;
  const guards: Guard[] = [];
  for (let i = 0; i < 5_000; i++) guards.push(semaphore.acquireSync());
  for (let i = 0; i < 5_000; i++) guards.push(await semaphore.acquire());
  assert.equal(semaphore.getValue(), 0);
  assert.ok(stats().used > before);
  const waits = Array.from({ length: 1_000 }, () => semaphore.acquire());
  for (let i = 0; i < guards.length; i += 2) guards[i].release();
  guards.push(...(await Promise.all(waits)));
  assert.equal(semaphore.getValue(), 4_000);
  for (const guard of guards) guard.release();
  assert.equal(semaphore.getValue(), 10_000);
  assertFree(semaphore, 10_000);
});

test('10,000 permits of one that is killed come back, each with word of its death', {
  timeout: 120_000,
}, async () => {
  using semaphore = new Semaphore(10_000);
  using count = numbers();
  const peer = forked.start(
    (there: Semaphore, seen: Numbers) => {
      for (let i = 0; i < 10_000; i++) there.acquireSync();
      Atomics.store(seen.view, 0, 1);
      setInterval(() => {}, 1e6);
    },
    semaphore,
    count,
  );
  await untilIs(count, 0, 1);
  const wait = semaphore.acquire();
  await killed(peer);
  const guards = [await wait];
  while (guards.length < 10_000) guards.push(semaphore.acquireSync());
  assert.ok(guards.every(({ abandoned }) => abandoned));
  for (const guard of guards) guard.release();
  assertFree(semaphore, 10_000);
});

test(
  'one that nobody else has heard of goes with its last reference, and all that hangs on it',
  LIMIT,
  async () => {
    (() => {
      const semaphore = new Semaphore(1_000);
      for (let i = 0; i < 1_000; i++) semaphore.acquireSync();
    })();
    await collect(); // leavesNoBlocks() looks
  },
);
