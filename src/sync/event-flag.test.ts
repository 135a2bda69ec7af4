import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError } from '../errors/errors.js';
import { words } from '../memory/commons.js';
import type { Peer } from '../testing/carriers.js';
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
import { EventFlag } from './event-flag.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

test('it is clear at first, set by set(), clear again by clear(), however often', () => {
  using flag = new EventFlag();
  assert.equal(flag.isSet(), false);
  for (let i = 0; i < 3; i++) {
    flag.set();
    flag.set();
    assert.equal(flag.isSet(), true);
    flag.clear();
    flag.clear();
    assert.equal(flag.isSet(), false);
  }
});

test('who waits for one that is set does not wait', LIMIT, async () => {
  using flag = new EventFlag();
  flag.set();
  assert.equal(await flag.wait(), true);
  assert.equal(flag.waitSync(), true);
  assert.equal(await flag.wait({ timeout: 0 }), true);
  assert.equal(flag.waitSync({ timeout: 0 }), true);
});

test('a wait whose time runs out is false', LIMIT, async () => {
  using flag = new EventFlag();
  for (const timeout of [0, 0.001, 5]) {
    assert.equal(await flag.wait({ timeout }), false);
    assert.equal(flag.waitSync({ timeout }), false);
  }
  const patient = flag.wait({ timeout: 2 ** 40 });
  flag.set();
  assert.equal(await patient, true);
});

test('wrong options are refused', async () => {
  using flag = new EventFlag();
  flag.set();
  for (const timeout of [-1, Number.NaN]) {
    await assert.rejects(flag.wait({ timeout }), RangeError);
    assert.throws(() => flag.waitSync({ timeout }), RangeError);
  }
  await assert.rejects(flag.wait({ timeout: '1' as never }), TypeError);
  assert.throws(() => flag.waitSync({ timeout: null as never }), TypeError);
  assert.throws(() => new EventFlag(null as never), TypeError);
});

test('set() and clear() back to back wake all who waited, and no one later', LIMIT, async () => {
  using flag = new EventFlag();
  const waits = Array.from({ length: 100 }, () => flag.wait());
  flag.set();
  flag.clear();
  const late = flag.wait({ timeout: 20 });
  assert.deepEqual(
    await Promise.all(waits),
    waits.map(() => true),
  );
  assert.equal(await late, false);
});

test('a signal counts before and during the wait, and not after it', LIMIT, async () => {
  using flag = new EventFlag();
  const reason = new Error('enough');
  await assert.rejects(flag.wait({ signal: AbortSignal.abort(reason) }), reason);
  const during = new AbortController();
  const [first, second] = [flag.wait({ signal: during.signal }), flag.wait()];
  during.abort(reason);
  await assert.rejects(first, reason);
  const late = new AbortController();
  const third = flag.wait({ signal: late.signal });
  flag.set();
  late.abort();
  assert.deepEqual(await Promise.all([second, third]), [true, true]);
});

test('thousands wait at once', LIMIT, async () => {
  using flag = new EventFlag();
  for (let round = 0; round < 3; round++) {
    const waits = Array.from({ length: 5_000 }, () => flag.wait());
    flag.set();
    flag.clear();
    assert.ok((await Promise.all(waits)).every(woken => woken));
  }
});

test('one that is disposed of is closed to all', LIMIT, async () => {
  const flag = new EventFlag();
  const waits = [flag.wait(), flag.wait({ timeout: 1e6 })];
  flag[Symbol.dispose]();
  for (const wait of waits) await assert.rejects(wait, ClosedError);
  for (const use of [() => flag.isSet(), () => flag.set(), () => flag.clear(), () => flag.waitSync()])
    assert.throws(use, ClosedError);
  await assert.rejects(flag.wait(), ClosedError);
  flag[Symbol.dispose]();
});

for (const crowd of crowds) {
  describe(`an EventFlag among ${crowd.name}`, () => {
    const waiter = async (there: EventFlag, blocking: boolean) =>
      blocking ? there.waitSync() : await there.wait();

    test('set() wakes all, even if it is cleared at once', LIMIT, async () => {
      using flag = new EventFlag();
      const peers = Array.from({ length: 6 }, (_, i) => crowd.start(waiter, flag, i % 2 === 0));
      await untilWaiting(flag, 6);
      flag.set();
      flag.clear();
      assert.deepEqual(await ended(...peers), [true, true, true, true, true, true]);
      assert.equal(flag.isSet(), false);
    });

    test('what is set there is seen here, round after round', LIMIT, async () => {
      using ping = new EventFlag();
      using pong = new EventFlag();
      const answer = async (there: EventFlag, back: EventFlag, blocking: boolean) => {
        for (let i = 0; i < 100; i++) {
          if (blocking) there.waitSync();
          else await there.wait();
          there.clear();
          back.set();
        }
      };
      for (const blocking of [true, false]) {
        const peer = crowd.start(answer, ping, pong, blocking);
        for (let i = 0; i < 100; i++) {
          ping.set();
          if (i % 2 === 0) await pong.wait();
          else pong.waitSync();
          pong.clear();
        }
        await ended(peer);
      }
    });

    test('one that is killed while it waits is missed by nobody', LIMIT, async () => {
      using flag = new EventFlag();
      const peers: Peer<unknown>[] = [true, false, true].map(blocking => crowd.start(waiter, flag, blocking));
      await untilWaiting(flag, 3);
      const own = flag.wait();
      await killed(peers[0], peers[1]);
      flag.set();
      assert.equal(await own, true);
      assert.deepEqual(await ended(peers[2]), [true]);
    });

    test('one that sets it and dies before it wakes anyone has set it, cleared or not', LIMIT, async () => {
      for (const clears of [false, true]) {
        using flag = new EventFlag();
        using count = numbers();
        const peers = [true, false].map(blocking => crowd.start(waiter, flag, blocking));
        const setter = crowd.start((seen: Numbers) => {
          Atomics.store(seen.view, 0, 1);
          setInterval(() => {}, 1e6);
        }, count);
        await untilIs(count, 0, 1);
        await untilWaiting(flag, 2);
        const own = flag.wait();
        Atomics.store(words, flag.cell.at, clears ? 2 : 3); // as set() does in its first step, and clear()
        await killed(setter);
        assert.equal(await own, true);
        assert.deepEqual(await ended(...peers), [true, true]);
        assert.equal(flag.isSet(), !clears);
      }
    });

    test('a wake that one does not live to see is not another’s', LIMIT, async () => {
      using flag = new EventFlag();
      using count = numbers();
      const peer = crowd.start(
        (there: EventFlag, seen: Numbers) => {
          void there.wait();
          Atomics.store(seen.view, 0, 1);
          for (;;); // so it never looks
        },
        flag,
        count,
      );
      await untilIs(count, 0, 1);
      flag.set();
      flag.clear();
      const later = flag.wait({ timeout: 300 });
      await killed(peer);
      assert.equal(await later, false);
    });

    test('one that is disposed of elsewhere is closed here', LIMIT, async () => {
      const flag = new EventFlag();
      const wait = async (there: EventFlag, blocking: boolean) => {
        try {
          return blocking ? there.waitSync() : await there.wait();
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        }
      };
      const peers = [true, false].map(blocking => crowd.start(wait, flag, blocking));
      await untilWaiting(flag, 2);
      await ended(crowd.start(there => there[Symbol.dispose](), flag));
      assert.deepEqual(await ended(...peers), ['ERR_CLOSED', 'ERR_CLOSED']);
      assert.throws(() => flag.isSet(), ClosedError);
    });
  });
}
