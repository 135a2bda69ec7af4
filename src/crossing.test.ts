import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { warmUp } from './pool/fixtures/carriers.js';
import { Pool } from './pool/pool.js';
import { Process } from './process/process.js';
import { Condition } from './sync/condition.js';
import { EventFlag } from './sync/event-flag.js';
import { Lock } from './sync/lock.js';
import { RLock } from './sync/rlock.js';
import { LIMIT, outcomeOf } from './sync/testing/tools.js';
import { collect } from './testing/collect.js';
import { leavesNoBlocks } from './testing/commons.js';
import { leavesNothing } from './testing/leaks.js';
import { crowds, warmCarriers } from './testing/sharing.js';

/* How objects get to other threads and processes, and what becomes of them. */
leavesNothing({
  warm: async () => {
    await warmCarriers();
    await warmUp();
  },
});
leavesNoBlocks();

/** Is it the lock that the caller holds? */
function isHeld(lock: Lock): boolean {
  return lock.locked() && lock.tryAcquire() === null;
}

for (const carrier of crowds) {
  describe(`over ${carrier.name}`, () => {
    const run = async <A extends readonly unknown[], R>(target: (...args: A) => R, ...args: A) => {
      const peer = carrier.start(target, ...args);
      const result = await peer.result();
      await peer.join();
      return result as Awaited<R>;
    };

    test('a lock crosses as argument, in a closure, and inside other values', LIMIT, async () => {
      using lock = new Lock();
      using rlock = new RLock();
      const guards = [lock.acquireSync(), await rlock.acquire()];
      assert.equal(await run(isHeld, lock), true);
      assert.equal(await run(isHeld, rlock), true);
      assert.equal(await run(() => lock.tryAcquire() === null && rlock.tryAcquire() === null), true);
      assert.equal(
        await run(
          ({ deep: [map] }: { deep: [Map<string, Lock>] }) => [...map.values()].every(one => one.locked()),
          {
            deep: [
              new Map([
                ['a', lock],
                ['b', rlock],
              ]),
            ],
          },
        ),
        true,
      );
      for (const guard of guards) guard.release();
      assert.equal(await run((it: Lock) => it.tryAcquire()?.abandoned, lock), false);
      assert.equal(lock.acquireSync().abandoned, true); // that has taken it, and left it behind
    });

    test('one object stays one, over there and on its way back', LIMIT, async () => {
      using lock = new Lock();
      using condition = new Condition(lock);
      const same = (a: Lock, [b, c]: [Lock, Condition], d: Condition) => [a === b, c === d, c.lock === a, a];
      assert.deepEqual(await run(same, lock, [lock, condition], condition), [true, true, true, lock]);
      assert.equal((await run(same, lock, [lock, condition], condition))[3], lock);
      assert.equal(await run((it: Condition) => it, condition), condition);
    });

    test('what is made over there and returned is there for as long as anyone wants it', LIMIT, async () => {
      const lock = await run(() => new Lock());
      lock.acquireSync();
      assert.equal(await run(isHeld, lock), true);
      lock[Symbol.dispose]();
      const condition = await run(() => new Condition());
      using _ = await condition.acquire();
      condition.notify();
      condition[Symbol.dispose]();
    });

    test('a child’s child has it, too', LIMIT, async () => {
      using lock = new Lock();
      using flag = new EventFlag();
      const child = async (it: Lock, done: EventFlag) => {
        const grandchild = new Process({
          target: async (lock: Lock, flag: EventFlag) => {
            const guard = await lock.acquire();
            flag.set();
            guard.release();
            return lock;
          },
          args: [it, done],
        }).start();
        const same = (await grandchild.result()) === it;
        await grandchild.join();
        return same;
      };
      assert.equal(await run(child, lock, flag), true);
      assert.equal(flag.isSet(), true);
      assert.equal(lock.locked(), false);
    });

    test('what a thread never passed on goes with it', LIMIT, async () => {
      await run(() => {
        (globalThis as Record<string, unknown>).kept = [new Lock(), new Condition(), new RLock()];
      });
      // leavesNoBlocks() does the rest
    });

    test('what arrives disposed of is an error as it is used', LIMIT, async () => {
      const lock = new Lock();
      using go = new EventFlag();
      const late = async (it: Lock, flag: EventFlag) => {
        await flag.wait();
        return outcomeOf(() => it.acquire());
      };
      const peer = carrier.start(late, lock, go);
      lock[Symbol.dispose]();
      go.set();
      assert.equal(await peer.result(), 'ERR_CLOSED');
      await peer.join();
      await assert.rejects(async () => carrier.start(isHeld, lock), {
        code: 'ERR_SERIALIZATION',
        message: /args\[0\].*disposed of/,
      });
    });

    test('a subclass is refused: its own part would be lost', LIMIT, async () => {
      class Mine extends Lock {}
      using lock = new Mine();
      await assert.rejects(
        async () => carrier.start(isHeld, lock),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, 'ERR_SERIALIZATION');
          assert.match(error.message, /Mine/);
          return true;
        },
      );
    });
  });
}

for (const options of [{ kind: 'process' }, { kind: 'thread' }] as const)
  test(`tasks of a pool (${options.kind}) share objects, by argument and closure`, LIMIT, async () => {
    await using pool = new Pool(2, options);
    using lock = new Lock();
    const add = (it: Lock) => {
      using _ = it.acquireSync();
      const { words, at } = it.cell;
      return words[at + 8]++;
    };
    const seen = await pool.map(add, Array(40).fill(lock));
    const more = await Promise.all(
      Array.from({ length: 20 }, () => pool.run(() => lock.runExclusive(() => lock.locked()))),
    );
    assert.deepEqual(
      seen.sort((a, b) => a - b),
      [...seen.keys()],
    );
    assert.ok(more.every(locked => locked));
    assert.equal(await pool.run((it: Lock) => it, [lock]), lock);
  });

test('an object that was never passed on goes with its last reference', LIMIT, async () => {
  (() => {
    for (let i = 0; i < 50; i++) [new Lock(), new RLock(), new Condition(), new EventFlag()].at(i % 4);
  })();
  for (let i = 0; i < 4; i++) await collect();
});
