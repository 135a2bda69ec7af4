import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeadlockError, TimeoutError } from '../errors/errors.js';
import type { Peer } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { crowds, warmCarriers } from '../testing/sharing.js';
import { EventFlag } from './event-flag.js';
import { Lock } from './lock.js';
import { RLock } from './rlock.js';
import { RWLock } from './rw-lock.js';
import { TableLock } from './table-lock.js';
import { random } from './testing/random.js';
import { FORMS, type Form, LIMIT } from './testing/tools.js';

/* MANYHANDS_SOAK: how long the search for false alarms lasts, in ms, for each carrier. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const DURATION = Number(process.env.MANYHANDS_SOAK ?? 500);

/** How it ended for one, who waited for a lock with another in hand. */
type End = 'had both' | 'ERR_DEADLOCK' | 'ERR_TIMEOUT';

/** Takes the first, and, once all have theirs, the second. */
async function cross(
  form: Form,
  first: Lock,
  second: Lock,
  mine: EventFlag,
  others: readonly EventFlag[],
  timeout?: number,
): Promise<End> {
  const options = timeout === undefined ? undefined : { timeout };
  const outer = form === 'async' ? await first.acquire() : first.acquireSync();
  mine.set();
  for (const other of others) {
    if (form === 'async') await other.wait();
    else other.waitSync();
  }
  try {
    const inner = form === 'async' ? await second.acquire(options) : second.acquireSync(options);
    inner.release();
    return 'had both';
  } catch (error) {
    return (error as { code: End }).code;
  } finally {
    outer.release();
  }
}

function locks(count: number): { all: (Lock | EventFlag)[]; them: Lock[]; flags: EventFlag[] } {
  const them = Array.from({ length: count }, () => new Lock());
  const flags = Array.from({ length: count }, () => new EventFlag());
  return { all: [...them, ...flags], them, flags };
}

function dispose(all: readonly Disposable[]): void {
  for (const one of all) one[Symbol.dispose]();
}

async function ended<R>(...peers: readonly Peer<R>[]): Promise<R[]> {
  const results = await Promise.all(peers.map(peer => peer.result()));
  await Promise.all(peers.map(peer => peer.join()));
  return results;
}

describe('in one thread', () => {
  test('two flows that wait for each other: one is told, and the other goes on', LIMIT, async () => {
    const { all, them, flags } = locks(2);
    const ends = await Promise.all([
      cross('async', them[0], them[1], flags[0], [flags[1]]),
      cross('async', them[1], them[0], flags[1], [flags[0]]),
    ]);
    assert.deepEqual(ends.sort(), ['ERR_DEADLOCK', 'had both']);
    dispose(all);
  });

  test('the same by runExclusive(), also of RLocks', LIMIT, async () => {
    for (const Kind of [Lock, RLock]) {
      using a = new Kind();
      using b = new Kind();
      const { all, flags } = locks(2);
      const nest = (outer: Lock, inner: Lock, i: number) =>
        outer.runExclusive(async () => {
          flags[i].set();
          await flags[1 - i].wait();
          return inner.runExclusive(() => 'had both').catch(error => error.code);
        });
      const ends = await Promise.all([nest(a, b, 0), nest(b, a, 1)]);
      assert.deepEqual(ends.sort(), ['ERR_DEADLOCK', 'had both']);
      dispose(all);
    }
  });

  test('a lock that its own thread holds is not waited for in blocking form', LIMIT, async () => {
    using lock = new Lock();
    const guard = lock.acquireSync();
    assert.throws(
      () => lock.acquireSync(),
      error => {
        assert.ok(error instanceof DeadlockError);
        const [waiter, ...rest] = error.cycle;
        assert.equal(rest.length, 0);
        assert.equal(waiter.pid, process.pid);
        assert.equal(waiter.threadId, 0);
        assert.equal(waiter.waitsFor, `Lock ${lock.cell.blocks[0]}`);
        assert.match(error.message, /acquire locks in the same order everywhere/);
        return true;
      },
    );
    assert.throws(() => lock.acquireSync({ timeout: 20 }), TimeoutError);
    assert.equal(lock.locked(), true);
    guard.release();
    lock.acquireSync().release();
  });

  test('a flow that acquires its own lock again may wait for another to release it', LIMIT, async () => {
    using lock = new Lock();
    await lock.acquire();
    setTimeout(() => lock.release(), 300);
    (await lock.acquire()).release();
    assert.equal(lock.locked(), false);
  });

  test('a reader that wants to write waits for itself', LIMIT, async () => {
    using lock = new RWLock();
    const guard = await lock.read();
    await assert.rejects(lock.write(), DeadlockError);
    guard.release();
    (await lock.write()).release();
  });

  test('rows of a table, in two orders', LIMIT, async () => {
    using table = new TableLock();
    const { all, flags } = locks(2);
    const take = async (i: number) => {
      using _ = await table.row(i);
      flags[i].set();
      await flags[1 - i].wait();
      try {
        using _both = await table.row(1 - i);
        return 'had both';
      } catch (error) {
        return (error as { code: string }).code;
      }
    };
    assert.deepEqual((await Promise.all([take(0), take(1)])).sort(), ['ERR_DEADLOCK', 'had both']);
    dispose(all);
  });

  test('who may wait for less than a second is left to its timeout', LIMIT, async () => {
    const { all, them, flags } = locks(2);
    const ends = await Promise.all([
      cross('async', them[0], them[1], flags[0], [flags[1]], 300),
      cross('async', them[1], them[0], flags[1], [flags[0]]),
    ]);
    assert.deepEqual(ends, ['ERR_TIMEOUT', 'had both']);
    dispose(all);
  });

  test(
    'a flow that acquires early and awaits later is no deadlock while it can still release',
    LIMIT,
    async () => {
      using a = new Lock();
      using b = new Lock();
      const other = (async () => {
        using _b = await b.acquire();
        using _a = await a.acquire();
      })();
      const guard = await a.acquire().catch(() => undefined);
      const early = b.acquire(); // which waits for one that waits for `a`
      await sleep(300);
      guard?.release();
      (await early).release();
      await other;
    },
  );
});

for (const carrier of crowds) {
  describe(`among ${carrier.name}`, () => {
    for (const [first, second] of [
      ['async', 'async'],
      ['blocking', 'blocking'],
      ['async', 'blocking'],
    ] as const)
      test(`an inversion of two locks (${first} and ${second}): one is told`, LIMIT, async () => {
        const { all, them, flags } = locks(2);
        const ends = await ended(
          carrier.start(cross, first, them[0], them[1], flags[0], [flags[1]]),
          carrier.start(cross, second, them[1], them[0], flags[1], [flags[0]]),
        );
        assert.deepEqual(ends.sort(), ['ERR_DEADLOCK', 'had both']);
        dispose(all);
      });

    for (const form of FORMS)
      test(`three in a ring (${form}): one is told, and the others go on`, LIMIT, async () => {
        const { all, them, flags } = locks(3);
        const peers = [0, 1, 2].map(i =>
          carrier.start(cross, form, them[i], them[(i + 1) % 3], flags[i], flags),
        );
        const ends = await ended(...peers);
        assert.deepEqual(ends.sort(), ['ERR_DEADLOCK', 'had both', 'had both']);
        dispose(all);
      });

    test('the cycle names each waiter, what it holds and what it waits for', LIMIT, async () => {
      const { all, them, flags } = locks(2);
      const report = async (
        a: Lock,
        b: Lock,
        mine: EventFlag,
        other: EventFlag,
      ): Promise<{ pid: number; cycle?: DeadlockError['cycle'] }> => {
        using _ = await a.acquire();
        mine.set();
        await other.wait();
        try {
          (await b.acquire()).release();
          return { pid: process.pid };
        } catch (error) {
          return { pid: process.pid, cycle: (error as DeadlockError).cycle };
        }
      };
      const peer = carrier.start(report, them[0], them[1], flags[0], flags[1]);
      const [own, its] = await Promise.all([report(them[1], them[0], flags[1], flags[0]), ended(peer)]);
      const cycle = own.cycle ?? its[0].cycle ?? [];
      const names = them.map(lock => `Lock ${lock.cell.blocks[0]}`);
      const sorted = [...cycle].sort((a, b) => names.indexOf(a.waitsFor) - names.indexOf(b.waitsFor));
      assert.deepEqual(
        sorted.map(({ pid, waitsFor, holds }) => ({ pid, waitsFor, holds })),
        [
          { pid: own.pid, waitsFor: names[0], holds: names[1] },
          { pid: its[0].pid, waitsFor: names[1], holds: names[0] },
        ],
      );
      assert.equal(sorted[1].name, peer.name);
      for (const { threadId, stack } of sorted) {
        assert.equal(typeof threadId, 'number');
        assert.equal(stack, undefined);
      }
      dispose(all);
    });

    test('no false alarm: locks in one order, at random, in both forms', {
      timeout: DURATION + 60_000,
    }, async () => {
      const them = Array.from({ length: 5 }, () => new Lock());
      const work = async (all: readonly Lock[], seed: number, duration: number) => {
        const next = random(seed);
        let turns = 0;
        const until = performance.now() + duration;
        const flow = async () => {
          while (performance.now() < until) {
            const guards: Disposable[] = [];
            for (const lock of all) if (next() < 0.5) guards.push(await lock.acquire());
            if (next() < 0.02) await new Promise(resolve => setTimeout(resolve, 120 * next()));
            for (const guard of guards.reverse()) guard[Symbol.dispose]();
            turns++;
          }
        };
        const blocking = () => {
          const guards: Disposable[] = [];
          for (const lock of all) if (next() < 0.5) guards.push(lock.acquireSync());
          for (const guard of guards.reverse()) guard[Symbol.dispose]();
          turns++;
        };
        if (seed % 2 === 0) while (performance.now() < until) blocking();
        else await Promise.all([flow(), flow(), flow()]);
        return turns;
      };
      const peers = [0, 1, 2, 3].map(i => carrier.start(work, them, i, DURATION));
      for (const turns of await ended(...peers)) assert.ok(turns > 0);
      dispose(them);
    });
  });
}

test('the cycle has stacks if MANYHANDS_STACKS is set', LIMIT, () => {
  const program = `
    const { Lock } = require(${JSON.stringify(path.join(__dirname, 'lock.js'))});
    const lock = new Lock();
    (function outer() {
      lock.acquireSync();
      try {
        lock.acquireSync();
      } catch ({ code, cycle }) {
        console.log(code, cycle[0].stack);
      }
    })();
  `;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], {
    encoding: 'utf8',
    env: { ...process.env, MANYHANDS_STACKS: '1' },
  });
  assert.match(stdout, /^ERR_DEADLOCK[\s\S]*at outer/, stderr);
});
