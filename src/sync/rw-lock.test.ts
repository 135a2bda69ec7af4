import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { ClosedError, DeadlockError, TimeoutError } from '../errors/errors.js';
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
import type { Guard } from './guard.js';
import { RWLock } from './rw-lock.js';

leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

/** Nobody holds it, and nobody has died over it. */
function assertFree(lock: RWLock): void {
  const guard = lock.writeSync({ timeout: 0 });
  assert.equal(guard.abandoned, false);
  guard.release();
  const readers = [lock.readSync({ timeout: 0 }), lock.readSync({ timeout: 0 })];
  for (const reader of readers) reader.release();
}

/** What is granted, in order: 'r1' once the first reader has it. */
class Story {
  readonly told: string[] = [];
  readonly #lock: RWLock;
  readonly #guards = new Map<string, Guard>();

  constructor(lock: RWLock) {
    this.#lock = lock;
  }

  async ask(name: string, signal?: AbortSignal): Promise<void> {
    const options = signal ? { signal } : {};
    this.#guards.set(name, await (name[0] === 'w' ? this.#lock.write(options) : this.#lock.read(options)));
    this.told.push(name);
  }

  /** Gives back what was granted by this name, and lets what follows from that happen. */
  async end(...names: string[]): Promise<string> {
    for (const name of names) this.#guards.get(name)?.release();
    await new Promise(setImmediate);
    return this.told.join(' ');
  }
}

test('many read together, one writes alone', async () => {
  using lock = new RWLock();
  const readers = [lock.readSync(), await lock.read(), lock.readSync()];
  assert.throws(() => lock.writeSync({ timeout: 0 }), TimeoutError);
  for (const reader of readers) reader.release();
  readers[0].release();
  const writer = await lock.write();
  assert.throws(() => lock.readSync({ timeout: 0 }), TimeoutError);
  await assert.rejects(lock.write({ timeout: 0 }), TimeoutError);
  writer[Symbol.dispose]();
  assertFree(lock);
});

test(
  'who waits is served in order: readers behind a writer stay there, and go on together after it',
  LIMIT,
  async () => {
    using lock = new RWLock();
    const story = new Story(lock);
    const all = ['r1', 'r2', 'w1', 'r3', 'r4', 'w2', 'w3', 'r5'].map(name => story.ask(name));
    assert.equal(await story.end(), 'r1 r2');
    assert.equal(await story.end('r1'), 'r1 r2');
    assert.equal(await story.end('r2'), 'r1 r2 w1');
    assert.equal(await story.end('w1'), 'r1 r2 w1 r3 r4');
    assert.equal(await story.end('r3', 'r4'), 'r1 r2 w1 r3 r4 w2');
    assert.equal(await story.end('w2'), 'r1 r2 w1 r3 r4 w2 w3');
    assert.equal(await story.end('w3'), 'r1 r2 w1 r3 r4 w2 w3 r5');
    await story.end('r5');
    await Promise.all(all);
    assertFree(lock);
  },
);

test('readers behind a writer go on when that gives up', LIMIT, async () => {
  using lock = new RWLock();
  const first = lock.readSync();
  const impatient = new AbortController();
  const writer = assert.rejects(lock.write({ signal: impatient.signal }), { name: 'AbortError' });
  const second = lock.read();
  impatient.abort();
  await writer;
  (await second).release();
  const late = assert.rejects(lock.write({ timeout: 20 }), TimeoutError);
  const third = lock.read();
  await late;
  (await third).release();
  first.release();
  assertFree(lock);
});

test('a signal and a timeout leave all as it was', LIMIT, async () => {
  using lock = new RWLock();
  const reason = new Error('enough');
  await assert.rejects(lock.write({ signal: AbortSignal.abort(reason) }), reason);
  const writer = lock.writeSync();
  for (const timeout of [0, 0.01, 3]) {
    await assert.rejects(lock.read({ timeout }), TimeoutError);
    await assert.rejects(lock.write({ timeout }), TimeoutError);
    assert.throws(() => lock.readSync({ timeout }), TimeoutError);
    assert.throws(() => lock.writeSync({ timeout }), TimeoutError);
  }
  await assert.rejects(lock.read({ timeout: -1 }), RangeError);
  assert.throws(() => lock.writeSync({ timeout: '1' as never }), TypeError);
  const controller = new AbortController();
  const given = lock.read({ signal: controller.signal, timeout: 2 ** 40 });
  writer.release();
  controller.abort();
  (await given).release();
  assertFree(lock);
});

test(
  'a thread that reads and then waits to write, blocking, is told that this would never end',
  LIMIT,
  () => {
    using lock = new RWLock();
    const reader = lock.readSync();
    assert.throws(() => lock.writeSync(), DeadlockError);
    reader.release();
    const writer = lock.writeSync();
    assert.throws(() => lock.readSync(), DeadlockError);
    assert.throws(() => lock.writeSync(), DeadlockError);
    writer.release();
    assertFree(lock);
  },
);

test('of two flows that read and wait to write what the other reads, one is told', LIMIT, async () => {
  using a = new RWLock();
  using b = new RWLock();
  const cross = async (one: RWLock, other: RWLock) => {
    const reader = await one.read();
    try {
      await new Promise(setImmediate);
      (await other.write()).release();
    } finally {
      reader.release();
    }
  };
  const outcomes = await Promise.allSettled([cross(a, b), cross(b, a)]);
  const failures = outcomes.filter(({ status }) => status === 'rejected') as PromiseRejectedResult[];
  assert.equal(failures.length, 1);
  assert.ok(failures[0].reason instanceof DeadlockError);
  assertFree(a);
  assertFree(b);
});

test('one that is disposed of is closed to all', LIMIT, async () => {
  const lock = new RWLock();
  const guard = lock.writeSync();
  const waits = [lock.read(), lock.write()];
  lock[Symbol.dispose]();
  for (const wait of waits) await assert.rejects(wait, ClosedError);
  assert.throws(() => lock.readSync(), ClosedError);
  await assert.rejects(lock.write(), ClosedError);
  guard.release();
});

test('wrong options are refused', () => {
  assert.throws(() => new RWLock(null as never), TypeError);
  assert.throws(() => new RWLock({ name: 1 as never }), TypeError);
});

test('1,000 readers at once in one thread, and their memory goes back', LIMIT, async () => {
  using lock = new RWLock();
  const guards: Guard[] = [];
  for (let i = 0; i < 500; i++) guards.push(lock.readSync());
  for (let i = 0; i < 500; i++) guards.push(await lock.read());
  const writer = lock.write();
  const behind = Array.from({ length: 1000 }, () => lock.read());
  for (const guard of guards) guard.release();
  (await writer).release();
  for (const guard of await Promise.all(behind)) guard.release();
  assertFree(lock);
});

for (const crowd of crowds) {
  describe(`an RWLock among ${crowd.name}`, () => {
    test('readers have it together', LIMIT, async () => {
      using lock = new RWLock();
      using count = numbers();
      const reader = async (there: RWLock, seen: Numbers, blocking: boolean) => {
        const guard = blocking ? there.readSync() : await there.read();
        Atomics.add(seen.view, 0, 1);
        while (Atomics.load(seen.view, 0) < 4); // each waits for all, with the lock in hand
        guard.release();
      };
      const writer = lock.writeSync();
      const peers = [0, 1, 2, 3].map(i => crowd.start(reader, lock, count, i % 2 === 0));
      await untilWaiting(lock, 4);
      writer.release();
      await ended(...peers);
      assertFree(lock);
    });

    test('a writer has it alone', LIMIT, async () => {
      using lock = new RWLock();
      using count = numbers();
      const worker = async (there: RWLock, seen: Numbers, blocking: boolean) => {
        const { view } = seen;
        let faults = 0;
        for (let i = 0; i < 200; i++) {
          const writes = i % 4 === 0;
          const guard = blocking
            ? writes
              ? there.writeSync()
              : there.readSync()
            : await (writes ? there.write() : there.read());
          const before = Atomics.add(view, 0, writes ? 1000 : 1);
          if (writes ? before !== 0 : before >= 1000) faults++;
          if (writes) view[1]++; // not atomic: two at once would lose one
          for (let spin = i % 5; spin > 0; spin--) Atomics.load(view, 2);
          if (!blocking && i % 20 === 0) await new Promise(setImmediate);
          Atomics.sub(view, 0, writes ? 1000 : 1);
          guard.release();
        }
        return faults;
      };
      const peers = Array.from({ length: 6 }, (_, i) => crowd.start(worker, lock, count, i % 2 === 0));
      assert.deepEqual(await ended(...peers), [0, 0, 0, 0, 0, 0]);
      assert.equal(count.view[1], 6 * 50);
      assertFree(lock);
    });

    test('neither a stream of readers starves a writer, nor writers a reader', LIMIT, async () => {
      using lock = new RWLock();
      using count = numbers();
      const stream = async (there: RWLock, seen: Numbers, writes: boolean, blocking: boolean) => {
        const { view } = seen;
        Atomics.add(view, 0, 1);
        while (Atomics.load(view, 1) === 0) {
          if (blocking) (writes ? there.writeSync() : there.readSync()).release();
          else (await (writes ? there.write() : there.read())).release();
        }
      };
      for (const writes of [false, true]) {
        count.view.fill(0);
        const peers = [0, 1, 2].map(i => crowd.start(stream, lock, count, writes, i > 0));
        await untilIs(count, 0, 3);
        for (let i = 0; i < 20; i++) {
          (await (writes ? lock.read() : lock.write())).release();
          (writes ? lock.readSync() : lock.writeSync()).release();
        }
        Atomics.store(count.view, 1, 1);
        await ended(...peers);
      }
      assertFree(lock);
    });

    test('a writer that is killed leaves it abandoned for the next, a reader does not', LIMIT, async () => {
      using lock = new RWLock();
      using count = numbers();
      const hold = (there: RWLock, seen: Numbers, writes: boolean) => {
        if (writes) there.writeSync();
        else there.readSync();
        Atomics.add(seen.view, 0, 1);
        setInterval(() => {}, 1e6);
      };
      for (const [writes, next] of [
        [true, 'read'],
        [true, 'write'],
        [false, 'write'],
      ] as const) {
        count.view.fill(0);
        const peer = crowd.start(hold, lock, count, writes);
        await untilIs(count, 0, 1);
        const wait = lock[next]();
        const begun = performance.now();
        const kill = killed(peer);
        const guard = await wait;
        assert.ok(performance.now() - begun < 1000);
        assert.equal(guard.abandoned, writes);
        guard.release();
        await kill;
        assertFree(lock);
      }
      count.view.fill(0);
      const peers: Peer<unknown>[] = [0, 1].map(() => crowd.start(hold, lock, count, false));
      await untilIs(count, 0, 2);
      await killed(peers[0]);
      assert.throws(() => lock.writeSync({ timeout: 0 }), TimeoutError, 'the other one still reads');
      const writer = lock.write();
      await killed(peers[1]);
      (await writer).release();
      assertFree(lock);
    });

    test('readers behind a writer that is killed in line go on', LIMIT, async () => {
      using lock = new RWLock();
      const reader = lock.readSync();
      for (const blocking of [true, false]) {
        const peer = crowd.start(
          (there: RWLock, blocks: boolean) => {
            if (blocks) there.writeSync();
            else void there.write();
          },
          lock,
          blocking,
        );
        await untilWaiting(lock, 1);
        const behind = lock.read();
        await untilWaiting(lock, 2);
        await killed(peer);
        (await behind).release();
      }
      reader.release();
      assertFree(lock);
    });

    test('so they do behind one that exits', LIMIT, async () => {
      using lock = new RWLock();
      const reader = lock.readSync();
      using leave = new EventFlag();
      const peer = crowd.start(
        async (there: RWLock, told: EventFlag) => {
          there.write().catch(() => {});
          await told.wait();
          process.exit(0);
        },
        lock,
        leave,
      );
      await untilWaiting(lock, 1);
      const behind = lock.read();
      leave.set();
      (await behind).release();
      await peer.join();
      reader.release();
      assertFree(lock);
    });

    test('a writer that is killed before it knows that it may write leaves it abandoned', LIMIT, async () => {
      using lock = new RWLock();
      using count = numbers();
      const reader = lock.readSync();
      const peer = crowd.start(
        (there: RWLock, seen: Numbers) => {
          void there.write();
          Atomics.store(seen.view, 0, 1);
          for (;;); // so it never looks
        },
        lock,
        count,
      );
      await untilIs(count, 0, 1);
      const next = lock.read();
      reader.release();
      await killed(peer);
      const guard = await next;
      assert.equal(guard.abandoned, true);
      guard.release();
      assertFree(lock);
    });

    test('a deadlock of two locks is found', LIMIT, async () => {
      using a = new RWLock();
      using b = new RWLock();
      using count = numbers();
      const worker = (one: RWLock, other: RWLock, seen: Numbers) => {
        const first = one.readSync();
        Atomics.add(seen.view, 0, 1);
        while (Atomics.load(seen.view, 0) < 2);
        try {
          other.writeSync().release();
          return 'had it';
        } catch (error) {
          return (error as NodeJS.ErrnoException).code;
        } finally {
          first.release();
        }
      };
      const outcomes = await ended(crowd.start(worker, a, b, count), crowd.start(worker, b, a, count));
      assert.ok(outcomes.includes('ERR_DEADLOCK'), outcomes.join());
      assertFree(a);
      assertFree(b);
    });
  });
}
