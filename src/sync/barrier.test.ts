import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { BrokenBarrierError, ClosedError } from '../errors/errors.js';
import type { Carrier, Peer } from '../testing/carriers.js';
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
import { Barrier, type BarrierOptions } from './barrier.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const BROKEN = { name: 'BrokenBarrierError', code: 'ERR_BROKEN_BARRIER' };
const PARTIES = 5;

/** All come once, here and async. */
async function pass(barrier: Barrier, count = barrier.parties): Promise<number[]> {
  return await Promise.all(Array.from({ length: count }, () => barrier.wait()));
}

function assertWhole(barrier: Barrier): void {
  assert.equal(barrier.broken, false);
  assert.equal(barrier.waiting, 0);
}

test('the last to come lets all go on, each with a number of its own', LIMIT, async () => {
  using barrier = new Barrier(4);
  assert.equal(barrier.parties, 4);
  assertWhole(barrier);
  for (let round = 0; round < 20; round++) {
    const waits = [barrier.wait(), barrier.wait(), barrier.wait()];
    assert.equal(barrier.waiting, 3);
    waits.push(barrier.wait());
    assert.equal(barrier.waiting, 0);
    assert.deepEqual(await Promise.all(waits), [0, 1, 2, 3]);
    assertWhole(barrier);
  }
});

test('a single party never waits', async () => {
  let runs = 0;
  using barrier = new Barrier(1, { action: () => void runs++ });
  assert.equal(await barrier.wait(), 0);
  assert.equal(barrier.waitSync(), 0);
  assert.equal(await barrier.wait({ timeout: 0 }), 0);
  assert.equal(runs, 3);
});

test('what makes no barrier is refused', async () => {
  for (const parties of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 31])
    assert.throws(() => new Barrier(parties), RangeError);
  for (const parties of ['2', 2n, null, undefined])
    assert.throws(() => new Barrier(parties as never), TypeError);
  assert.throws(() => new Barrier(2, null as never), TypeError);
  assert.throws(() => new Barrier(2, { action: 'run' as never }), TypeError);
  assert.throws(() => new Barrier(2, { timeout: -1 }), RangeError);
  assert.throws(() => new Barrier(2, { timeout: '1' as never }), TypeError);
  using barrier = new Barrier(2);
  await assert.rejects(barrier.wait({ timeout: -1 }), RangeError);
  assert.throws(() => barrier.waitSync({ timeout: '1' as never }), TypeError);
  assertWhole(barrier);
});

test('the action runs once a round, in the last to come, before anyone goes on', LIMIT, async () => {
  const told: string[] = [];
  using barrier = new Barrier(3, { action: () => void told.push('action') });
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      [0, 1, 2].map(async i => {
        if (i === 2) told.push('last comes');
        told.push(`goes ${await barrier.wait()}`);
      }),
    );
    assert.deepEqual(told.splice(0, 2), ['last comes', 'action']);
    assert.deepEqual(told.splice(0).sort(), ['goes 0', 'goes 1', 'goes 2']);
  }
});

test('who comes while the action runs is there for the next round', LIMIT, async () => {
  const gate = { open: () => {} };
  let runs = 0;
  const options: BarrierOptions = {
    action: () =>
      runs++ === 0 ? new Promise<void>(resolve => Object.assign(gate, { open: resolve })) : undefined,
  };
  using barrier = new Barrier(2, options);
  const first = [barrier.wait(), barrier.wait()];
  assert.equal(barrier.waiting, 0);
  const second = [barrier.wait()];
  gate.open();
  assert.deepEqual(await Promise.all(first), [0, 1]);
  second.push(barrier.wait());
  assert.deepEqual((await Promise.all(second)).sort(), [0, 1]);
  assertWhole(barrier);
});

test('who gives up while the action runs breaks the next round, and not that one', LIMIT, async () => {
  const gate = { open: () => {} };
  using barrier = new Barrier(2, {
    action: () => new Promise<void>(resolve => Object.assign(gate, { open: resolve })) as never,
  });
  for (const how of ['timeout', 'signal']) {
    const first = [barrier.wait(), barrier.wait()];
    const controller = new AbortController();
    const early = barrier.wait(how === 'timeout' ? { timeout: 5 } : { signal: controller.signal });
    controller.abort();
    await assert.rejects(early, how === 'timeout' ? BROKEN : { name: 'AbortError' });
    gate.open();
    assert.deepEqual(await Promise.all(first), [0, 1]);
    await assert.rejects(barrier.wait(), BROKEN);
    barrier.reset();
  }
});

test('an action that throws breaks it for all, with its error where it ran', LIMIT, async () => {
  const error = new Error('as planned');
  let throws = true;
  using barrier = new Barrier(3, {
    action() {
      if (throws) throw error;
    },
  });
  const waits = [barrier.wait(), barrier.wait()].map(wait => assert.rejects(wait, BROKEN));
  await assert.rejects(barrier.wait(), error);
  await Promise.all(waits);
  assert.equal(barrier.broken, true);
  await assert.rejects(barrier.wait(), BrokenBarrierError);
  assert.throws(() => barrier.waitSync(), BrokenBarrierError);
  throws = false;
  barrier.reset();
  assertWhole(barrier);
  assert.deepEqual(await pass(barrier), [0, 1, 2]);
});

test('an action that throws after a reset breaks nobody who came since', LIMIT, async () => {
  const gate = { fail: (_: Error) => {} };
  let runs = 0;
  using barrier = new Barrier(2, {
    action: () =>
      (runs++ === 0
        ? new Promise<void>((_, reject) => Object.assign(gate, { fail: reject }))
        : undefined) as never,
  });
  const error = new Error('as planned');
  const waits = [assert.rejects(barrier.wait(), BROKEN), assert.rejects(barrier.wait(), error)];
  barrier.reset();
  const next = barrier.wait();
  gate.fail(error);
  await Promise.all(waits);
  assert.deepEqual(await Promise.all([next, barrier.wait()]), [0, 1]);
  assertWhole(barrier);
});

test('a wait whose time runs out breaks it for all', LIMIT, async () => {
  using barrier = new Barrier(3);
  for (const timeout of [0, 0.01, 10]) {
    const patient = assert.rejects(barrier.wait(), BROKEN);
    if (timeout < 1) assert.throws(() => barrier.waitSync({ timeout }), BROKEN);
    else await assert.rejects(barrier.wait({ timeout }), BROKEN);
    await patient;
    assert.equal(barrier.broken, true);
    await assert.rejects(barrier.wait(), BROKEN);
    barrier.reset();
    assertWhole(barrier);
  }
  assert.deepEqual(await pass(barrier), [0, 1, 2]);
});

test('the timeout of the barrier is that of all waits that give none', LIMIT, async () => {
  using barrier = new Barrier(2, { timeout: 5 });
  await assert.rejects(barrier.wait(), BROKEN);
  barrier.reset();
  assert.throws(() => barrier.waitSync(), BROKEN);
  barrier.reset();
  const patient = barrier.wait({ timeout: 1e6 });
  await new Promise(resolve => setTimeout(resolve, 20));
  assert.deepEqual(await Promise.all([patient, barrier.wait()]), [0, 1]);
});

test('abort() breaks it, reset() makes it whole', LIMIT, async () => {
  using barrier = new Barrier(3);
  const waits = [barrier.wait(), barrier.wait()].map(wait => assert.rejects(wait, BROKEN));
  barrier.abort();
  await Promise.all(waits);
  assert.equal(barrier.broken, true);
  assert.equal(barrier.waiting, 0);
  barrier.abort();
  await assert.rejects(barrier.wait(), BROKEN);
  barrier.reset();
  assertWhole(barrier);
  assert.deepEqual(await pass(barrier), [0, 1, 2]);
  barrier.abort();
  barrier.reset();
  barrier.reset();
  assert.deepEqual(await pass(barrier), [0, 1, 2]);
});

test('reset() while some wait tells them that it broke, and no one else', LIMIT, async () => {
  using barrier = new Barrier(3);
  const waits = [barrier.wait(), barrier.wait()].map(wait => assert.rejects(wait, BROKEN));
  barrier.reset();
  assertWhole(barrier);
  const next = pass(barrier);
  await Promise.all(waits);
  assert.deepEqual(await next, [0, 1, 2]);
});

test('a signal breaks it during the wait, and neither before nor after', LIMIT, async () => {
  using barrier = new Barrier(2);
  const reason = new Error('enough');
  await assert.rejects(barrier.wait({ signal: AbortSignal.abort(reason) }), reason);
  assertWhole(barrier);
  const late = new AbortController();
  const waits = [barrier.wait({ signal: late.signal }), barrier.wait()];
  late.abort();
  assert.deepEqual(await Promise.all(waits), [0, 1]);
  assertWhole(barrier);
  const during = new AbortController();
  const wait = barrier.wait({ signal: during.signal });
  during.abort(reason);
  await assert.rejects(wait, reason);
  assert.equal(barrier.broken, true);
});

test('more may share it than are needed at a time', LIMIT, async () => {
  using barrier = new Barrier(2);
  const indices = await pass(barrier, 20);
  assert.deepEqual(indices.sort(), [...Array(10).fill(0), ...Array(10).fill(1)]);
  assertWhole(barrier);
});

test('a thousand parties pass', LIMIT, async () => {
  using barrier = new Barrier(1000);
  for (let round = 0; round < 3; round++) {
    const indices = await pass(barrier);
    assert.deepEqual(
      indices,
      indices.map((_, i) => i),
    );
  }
});

test('one that is disposed of while a party ends is no concern of the party', () => {
  const barrier = new Barrier(2);
  barrier[Symbol.dispose]();
  let looks = 0;
  Object.defineProperty(barrier.cell, 'isThere', { get: () => looks++ === 0 }); // it was there a moment ago
  barrier.part();
  assert.equal(looks, 2);
});

test('one that is disposed of is closed to all', LIMIT, async () => {
  const barrier = new Barrier(3);
  const waits = [barrier.wait(), barrier.wait({ timeout: 1e6 })];
  barrier[Symbol.dispose]();
  for (const wait of waits) await assert.rejects(wait, ClosedError);
  for (const use of [
    () => barrier.parties,
    () => barrier.waiting,
    () => barrier.broken,
    () => barrier.abort(),
    () => barrier.reset(),
    () => barrier.waitSync(),
  ])
    assert.throws(use, ClosedError);
  await assert.rejects(barrier.wait(), ClosedError);
  barrier[Symbol.dispose]();
});

for (const crowd of crowds) {
  describe(`a Barrier among ${crowd.name}`, () => {
    /** Waits, and tells how that came out. */
    const party = async (there: Barrier, blocking: boolean) => {
      try {
        return blocking ? there.waitSync() : await there.wait();
      } catch (error) {
        return (error as NodeJS.ErrnoException).code;
      }
    };
    /** So many that wait, in both forms by turns. */
    const waitingParties = async (barrier: Barrier, count: number, carrier: Carrier = crowd) => {
      const peers: Peer<number | string | undefined>[] = [];
      const before = barrier.waiting;
      for (let i = 0; i < count; i++) {
        peers.push(carrier.start(party, barrier, i % 2 === 0));
        await untilWaiting(barrier, before + i + 1);
      }
      return peers;
    };

    test(`${PARTIES} parties pass it 300 times in step`, LIMIT, async () => {
      const rounds = 300;
      using barrier = new Barrier(PARTIES);
      using count = numbers(rounds * 2 + PARTIES * rounds);
      const walk = async (
        there: Barrier,
        seen: Numbers,
        blocking: boolean,
        parties: number,
        times: number,
      ) => {
        const { view } = seen;
        let faults = 0;
        for (let round = 0; round < times; round++) {
          Atomics.add(view, round, 1); // who has come
          const index = blocking ? there.waitSync() : await there.wait();
          if (Atomics.load(view, round) !== parties) faults++; // one has not come, and we go on
          Atomics.add(view, times + round, 1); // who has gone on
          if (round > 0 && Atomics.load(view, times + round - 1) !== parties) faults++; // one has been left behind
          if (Atomics.add(view, 2 * times + round * parties + index, 1) !== 0) faults++; // a number was given twice
        }
        return faults;
      };
      const peers = Array.from({ length: PARTIES }, (_, i) =>
        crowd.start(walk, barrier, count, i % 2 === 0, PARTIES, rounds),
      );
      assert.deepEqual(await ended(...peers), [0, 0, 0, 0, 0]);
      assert.ok(count.view.subarray(0, 2 * rounds).every(n => n === PARTIES));
      assert.ok(count.view.subarray(2 * rounds).every(n => n === 1));
      assertWhole(barrier);
    });

    test('the action runs once a round, in one of them, before anyone goes on', LIMIT, async () => {
      using count = numbers();
      using barrier = new Barrier(3, { action: () => void Atomics.add(count.view, 0, 1) });
      const once = async (there: Barrier, seen: Numbers, blocking: boolean) => {
        let faults = 0;
        for (let round = 1; round <= 50; round++) {
          if (blocking) there.waitSync();
          else await there.wait();
          // The next one runs when all have come again, and this one has not yet.
          if (Atomics.load(seen.view, 0) !== round) faults++;
        }
        return faults;
      };
      const peers = [0, 1, 2].map(i => crowd.start(once, barrier, count, i % 2 === 0));
      assert.deepEqual(await ended(...peers), [0, 0, 0]);
      assert.equal(count.view[0], 50);
    });

    test(
      'the death of one that waits breaks it for all, within a tenth of a second or so',
      LIMIT,
      async () => {
        using barrier = new Barrier(4);
        const [victim, ...others] = await waitingParties(barrier, 3);
        const begun = performance.now();
        await killed(victim);
        assert.deepEqual(await ended(...others), ['ERR_BROKEN_BARRIER', 'ERR_BROKEN_BARRIER']);
        assert.ok(performance.now() - begun < 2000);
        assert.equal(barrier.broken, true);
        barrier.reset();
        const again = await waitingParties(barrier, 3);
        assert.equal(await barrier.wait(), 3);
        assert.deepEqual(await ended(...again), [0, 1, 2]);
      },
    );

    test(
      'so does that of one that had it and has not come yet, before the others come or after',
      LIMIT,
      async () => {
        using barrier = new Barrier(3);
        using count = numbers();
        const idle = (_: Barrier, seen: Numbers) => {
          Atomics.add(seen.view, 0, 1);
          setInterval(() => {}, 1e6);
        };
        for (const first of ['death', 'wait']) {
          count.view.fill(0);
          const victim = crowd.start(idle, barrier, count);
          await untilIs(count, 0, 1);
          if (first === 'death') {
            await killed(victim);
            await assert.rejects(barrier.wait(), BROKEN);
          } else {
            const wait = assert.rejects(barrier.wait(), BROKEN);
            await killed(victim);
            await wait;
          }
          assert.equal(barrier.broken, true);
          barrier.reset();
        }
      },
    );

    test('the death of one whose place another takes breaks nobody', LIMIT, async () => {
      using barrier = new Barrier(3);
      using count = numbers();
      await pass(barrier); // so this thread is known to be a party
      const idle = (_: Barrier, seen: Numbers) => {
        Atomics.add(seen.view, 0, 1);
        setInterval(() => {}, 1e6);
      };
      const peers = [0, 1, 2, 3].map(() => crowd.start(idle, barrier, count));
      await untilIs(count, 0, 4);
      const parties = await waitingParties(barrier, 2);
      await killed(...peers);
      assert.equal(await Promise.race([ended(...parties).then(() => 'over'), barrier.wait()]), 2);
      await ended(...parties);
      assertWhole(barrier);
    });

    test('the death of the one that runs the action breaks it', LIMIT, async () => {
      using count = numbers();
      using barrier = new Barrier(3, {
        action() {
          Atomics.store(count.view, 0, 1);
          for (;;);
        },
      });
      const others = await waitingParties(barrier, 2);
      const actor = crowd.start(party, barrier, false);
      await untilIs(count, 0, 1);
      assert.equal(barrier.waiting, 0);
      const early = assert.rejects(barrier.wait(), BROKEN);
      await killed(actor);
      assert.deepEqual(await ended(...others), ['ERR_BROKEN_BARRIER', 'ERR_BROKEN_BARRIER']);
      await early;
    });

    test('one that ends by an error breaks it, one that ends in order does not', LIMIT, async () => {
      using barrier = new Barrier(2);
      const walk = (there: Barrier, rounds: number, fails: boolean) => {
        for (let i = 0; i < rounds; i++) there.waitSync();
        if (fails) throw new Error('as planned');
      };
      const good = crowd.start(walk, barrier, 3, false);
      for (let i = 0; i < 3; i++) await barrier.wait();
      const [wait] = [barrier.wait()];
      await ended(good);
      const next = crowd.start(walk, barrier, 1, false);
      assert.equal(await wait, 0, 'nobody was missed');
      await ended(next);
      const bad = crowd.start(walk, barrier, 1, true);
      bad.on('error', () => {});
      await barrier.wait();
      const last = assert.rejects(barrier.wait(), BROKEN);
      await bad.join();
      await last;
    });

    test('one that exits while it waits breaks it', LIMIT, async () => {
      using barrier = new Barrier(3);
      const wait = assert.rejects(barrier.wait(), BROKEN);
      const peer = crowd.start((there: Barrier) => {
        there.wait().catch(() => {});
        setTimeout(() => process.exit(0), 20);
      }, barrier);
      await wait;
      await peer.join();
    });

    test('a round that one does not live to see end is not taken for the next one', LIMIT, async () => {
      using barrier = new Barrier(2);
      using count = numbers();
      const peer = crowd.start(
        (there: Barrier, seen: Numbers) => {
          void there.wait();
          Atomics.store(seen.view, 0, 1);
          for (;;); // so it never looks
        },
        barrier,
        count,
      );
      await untilIs(count, 0, 1);
      assert.equal(await barrier.wait(), 1);
      const wait = assert.rejects(barrier.wait(), BROKEN);
      await killed(peer);
      await wait;
    });

    test('abort(), reset() and a timeout elsewhere are heard of here', LIMIT, async () => {
      using barrier = new Barrier(3);
      for (const act of [
        (there: Barrier) => there.abort(),
        (there: Barrier) => there.reset(),
        (there: Barrier) => there.wait({ timeout: 1 }).catch(() => {}),
        (there: Barrier) => {
          try {
            there.waitSync({ timeout: 1 });
          } catch {}
        },
      ]) {
        const wait = assert.rejects(barrier.wait(), BROKEN);
        await ended(crowd.start(act, barrier));
        await wait;
        barrier.reset();
      }
      assertWhole(barrier);
    });

    test('one that is disposed of elsewhere is closed here', LIMIT, async () => {
      const barrier = new Barrier(3);
      const peers = await waitingParties(barrier, 2);
      await ended(crowd.start(there => there[Symbol.dispose](), barrier));
      assert.deepEqual(await ended(...peers), ['ERR_CLOSED', 'ERR_CLOSED']);
      assert.throws(() => barrier.waiting, ClosedError);
    });
  });
}
