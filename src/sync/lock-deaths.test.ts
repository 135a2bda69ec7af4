import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import type { Peer } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, warmCarriers } from '../testing/sharing.js';
import { EventFlag } from './event-flag.js';
import { Lock } from './lock.js';
import { CRASHES, type Crash, crash, storm } from './testing/crashes.js';
import { acquire, count, FORMS, type Form, faults, inLine, LIMIT } from './testing/tools.js';

/*
 * What a Lock promises when owners and waiters die. MANYHANDS_SOAK: how long the storms of kills last, in ms, each of four;
 * MANYHANDS_SEED: the seed of one to repeat, as far as the machine takes part.
 */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const DURATION = Number(process.env.MANYHANDS_SOAK ?? 800);
const SEED = Number(process.env.MANYHANDS_SEED ?? Math.floor(Math.random() * 2 ** 32));

/** Takes the lock, says so, and dies over it when told. */
async function holdAndDie(
  lock: Lock,
  form: Form,
  how: Crash,
  held: EventFlag,
  end: EventFlag,
): Promise<void> {
  await acquire(lock, form);
  held.set();
  if (form === 'async') await end.wait();
  else end.waitSync();
  await crash(how);
}

async function waitFor(lock: Lock, form: Form): Promise<boolean> {
  const guard = await acquire(lock, form);
  guard.release();
  return guard.abandoned;
}

/** Its end, however it comes. */
async function ended(...peers: readonly Peer<unknown>[]): Promise<void> {
  await Promise.all(peers.map(peer => peer.result().catch(() => {})));
  await Promise.all(peers.map(peer => peer.join()));
}

for (const carrier of crowds) {
  describe(`a lock among ${carrier.name}`, () => {
    for (const how of carrier.name.endsWith('mixed') ? [] : CRASHES) {
      test(
        `whose owner ends by ${how} is had by who waits first, as abandoned, and by the next as usual`,
        LIMIT,
        async () => {
          for (const form of FORMS) {
            using lock = new Lock();
            using held = new EventFlag();
            using end = new EventFlag();
            const owner = carrier.start(holdAndDie, lock, form, how, held, end);
            await held.wait();
            const peer = carrier.start(waitFor, lock, form);
            await inLine(lock, 1);
            const own = [waitFor(lock, 'async'), waitFor(lock, 'async')];
            await inLine(lock, 3);
            if (how === 'kill') owner.kill();
            else end.set();
            assert.equal(await peer.result(), true);
            assert.deepEqual(await Promise.all(own), [false, false]);
            assert.equal(lock.locked(), false);
            await ended(owner, peer);
          }
        },
      );

      test(`whose owner ends by ${how} is to be had by who comes later, as abandoned`, LIMIT, async () => {
        for (const ask of [
          (lock: Lock) => lock.tryAcquire(),
          (lock: Lock) => lock.acquireSync(),
          (lock: Lock) => lock.acquire(),
        ]) {
          using lock = new Lock();
          using held = new EventFlag();
          using end = new EventFlag();
          const owner = carrier.start(holdAndDie, lock, 'async', how, held, end);
          await held.wait();
          if (how === 'kill') owner.kill();
          else end.set();
          await ended(owner);
          assert.equal(lock.locked(), false);
          assert.throws(() => lock.release(), { code: 'ERR_LOCK' });
          const guard = await ask(lock);
          assert.equal(guard?.abandoned, true);
          guard?.release();
          assert.equal(lock.acquireSync().abandoned, false);
          lock.release();
        }
      });
    }

    test('is had within 100 ms of its owner’s death', LIMIT, async () => {
      for (const form of FORMS) {
        using lock = new Lock();
        using held = new EventFlag();
        using end = new EventFlag();
        const owner = carrier.start(holdAndDie, lock, 'async', 'kill', held, end);
        await held.wait();
        const wait = lock.acquire();
        await turn();
        owner.kill();
        const killed = performance.now();
        const guard = form === 'async' ? await wait : lock.acquireSync();
        const took = performance.now() - killed;
        guard.release();
        if (form === 'blocking') (await wait).release();
        await ended(owner);
        assert.ok(took < 100 + 400, `it took ${took} ms`); // the machine may be busy
      }
    });

    test('passes by those that died in line', LIMIT, async () => {
      for (const form of FORMS) {
        using lock = new Lock();
        const guard = lock.acquireSync();
        const peers = [];
        for (let i = 0; i < 3; i++) {
          peers.push(carrier.start(waitFor, lock, form));
          await inLine(lock, i + 1);
        }
        const own = lock.acquire();
        for (const peer of peers) peer.kill();
        await ended(...peers);
        await inLine(lock, 1);
        guard.release();
        assert.equal((await own).abandoned, false);
        lock.release();
      }
    });

    test('is not lost with one who dies in the moment of having it', LIMIT, async () => {
      for (const form of FORMS)
        for (let i = 0; i < 3; i++) {
          using lock = new Lock();
          using held = new EventFlag();
          using end = new EventFlag();
          const guard = lock.acquireSync();
          const peer = carrier.start(holdAndDie, lock, form, 'kill', held, end);
          await inLine(lock, 1);
          const own = lock.acquire();
          guard.release();
          peer.kill();
          (await own).release(); // abandoned or not: it may have had it, or not
          await ended(peer);
          assert.equal(lock.locked(), false);
        }
    });

    test('is not lost with one who leaves in order while it is given to it', LIMIT, async () => {
      using lock = new Lock();
      const leaver = async (it: Lock, ready: EventFlag) => {
        const waits = [it.acquire(), it.acquire()];
        ready.set();
        await Promise.race(waits);
        process.exit();
      };
      using ready = new EventFlag();
      const guard = lock.acquireSync();
      const peer = carrier.start(leaver, lock, ready);
      await ready.wait();
      const own = lock.acquire();
      guard.release();
      assert.equal((await own).abandoned, true);
      lock.release();
      await ended(peer);
    });

    test('stays whole in a storm of kills', { timeout: DURATION + 120_000 }, async () => {
      using lock = new Lock();
      const { kills, turns, abandoned } = await storm({ carrier, lock, duration: DURATION, seed: SEED });
      const story = `seed ${SEED}: ${kills} kills, ${turns} turns, ${abandoned} times abandoned`;
      assert.equal(faults(lock), 0, story);
      assert.ok(count(lock) > 0 && kills > 0, story);
      if (process.env.MANYHANDS_SOAK) console.log(`${carrier.name}: ${story}`);
    });
  });
}
