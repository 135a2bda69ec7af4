import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { carriers, type Peer } from '../testing/carriers.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { LIMIT, type Numbers, numbers, warmCarriers } from '../testing/sharing.js';
import { waiting } from '../wait/line.js';
import type { Guard } from './guard.js';
import { RWLock } from './rw-lock.js';
import { BoundedSemaphore } from './semaphore.js';
import { TableLock } from './table-lock.js';

/*
 * What Semaphore, RWLock and TableLock have in common: that any run of steps goes as in a simple model, and that nothing goes
 * wrong while those who hold and wait are killed. MANYHANDS_SOAK: for how many ms to kill; MANYHANDS_SEED: the seed.
 */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const SOAK = Number(process.env.MANYHANDS_SOAK ?? 1_500);
const SEED = Number(process.env.MANYHANDS_SEED ?? Math.floor(Math.random() * 2 ** 31));

interface Options {
  timeout?: number;
  signal?: AbortSignal;
}

/** A kind of object, with all that may be asked of it, and which of these exclude each other. */
interface Kind {
  readonly name: string;
  readonly wants: readonly string[];
  make(): Disposable & { ask(want: string, options?: Options): Promise<Guard> };
  /** May this be granted while those are held? */
  allows(want: string, held: readonly string[]): boolean;
  /** Must the later one stay behind the earlier one? */
  conflict(earlier: string, later: string): boolean;
}

function kind<T extends Disposable>(
  name: string,
  wants: readonly string[],
  make: () => T,
  ask: (object: T, want: string, options?: Options) => Promise<Guard>,
  conflict: Kind['conflict'],
  allows: Kind['allows'] = (want, held) => !held.some(other => conflict(other, want)),
): Kind {
  return {
    name,
    wants,
    make() {
      const object = make();
      return {
        ask: (want, options) => ask(object, want, options),
        [Symbol.dispose]: () => object[Symbol.dispose](),
      };
    },
    allows,
    conflict,
  };
}

const KINDS: readonly Kind[] = [
  kind(
    'a semaphore',
    ['permit'],
    () => new BoundedSemaphore(3),
    (semaphore, _, options) => semaphore.acquire(options),
    () => true,
    (_, held) => held.length < 3,
  ),
  kind(
    'an RWLock',
    ['read', 'read', 'write'],
    () => new RWLock(),
    (lock, want, options) => (want === 'read' ? lock.read(options) : lock.write(options)),
    (a, b) => a === 'write' || b === 'write',
  ),
  kind(
    'a TableLock',
    ['a', 'b', 'c', 'shared', 'exclusive'],
    () => new TableLock(),
    (table, want, options) =>
      want.length === 1
        ? table.row(want, options)
        : table.table({ ...options, mode: want as 'shared' | 'exclusive' }),
    (a, b) => (a.length === 1 && b.length === 1 ? a === b : a !== 'shared' || b !== 'shared'),
  ),
];

type Step =
  | { do: 'ask'; want: number }
  | { do: 'try'; want: number }
  | { do: 'abort' | 'release'; which: number }
  | { do: 'turn' };

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('ask' as const), want: fc.nat(4) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('try' as const), want: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant('abort' as const), which: fc.nat(20) }) },
    { weight: 5, arbitrary: fc.record({ do: fc.constant('release' as const), which: fc.nat(20) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('turn' as const) }) },
  ),
  { maxLength: 60 },
);

for (const { name, wants, make, allows, conflict } of KINDS) {
  test(
    `any run of acquisitions, aborts, timeouts and releases of ${name} goes as in the model`,
    LIMIT,
    async () => {
      const run = async (run: Step[]) => {
        using object = make();
        let line: number[] = [];
        let held: number[] = [];
        const wanted: string[] = [];
        const guards: (Guard | undefined)[] = [];
        const controllers: AbortController[] = [];
        const waits: Promise<void>[] = [];
        const wantsOf = (ids: readonly number[]) => ids.map(id => wanted[id]);
        /** First come, first served, among those that exclude each other. */
        const serve = () => {
          const passedBy: number[] = [];
          for (const id of line) {
            const stays = passedBy.some(earlier => conflict(wanted[earlier], wanted[id]));
            if (!stays && allows(wanted[id], wantsOf(held))) held.push(id);
            else passedBy.push(id);
          }
          line = passedBy;
        };
        const turn = () => new Promise(setImmediate);
        const check = () =>
          assert.deepEqual(
            guards.flatMap((guard, id) => (guard ? [id] : [])),
            [...held].sort((a, b) => a - b),
          );
        for (const step of run) {
          if (step.do === 'ask') {
            const id = wanted.push(wants[step.want % wants.length]) - 1;
            const controller = new AbortController();
            controllers.push(controller);
            guards.push(undefined);
            line.push(id);
            serve();
            const options =
              id % 2 === 0 ? { signal: controller.signal } : { signal: controller.signal, timeout: 1e6 };
            waits.push(
              object.ask(wanted[id], options).then(
                guard => {
                  guards[id] = guard;
                },
                error => assert.equal(error.name, 'AbortError'),
              ),
            );
          } else if (step.do === 'try') {
            const want = wants[step.want % wants.length];
            const expected =
              allows(want, wantsOf(held)) && !line.some(earlier => conflict(wanted[earlier], want));
            await turn();
            const guard = await object.ask(want, { timeout: 0 }).catch(error => {
              assert.equal(error.code, 'ERR_TIMEOUT');
            });
            assert.equal(guard !== undefined, expected);
            guard?.release();
          } else if (step.do === 'abort' && line.length > 0) {
            const id = line[step.which % line.length];
            line = line.filter(other => other !== id);
            serve();
            controllers[id].abort();
          } else if (step.do === 'release' && held.length > 0) {
            await turn(); // all who were granted something know
            const id = held[step.which % held.length];
            held = held.filter(other => other !== id);
            serve();
            guards[id]?.release();
            guards[id] = undefined;
          } else if (step.do === 'turn') {
            await turn();
            check();
          }
        }
        await turn();
        check();
        while (held.length > 0) {
          for (const id of held.splice(0)) {
            guards[id]?.release();
            guards[id] = undefined;
          }
          serve();
          await turn();
          check();
        }
        assert.deepEqual(line, []);
        await Promise.all(waits);
      };
      await fc.assert(fc.asyncProperty(steps, run), { numRuns: 150, seed: SEED });
    },
  );
}

/** Numbers that all workers see. By worker: its STAMP while it has a permit, ALIVE, OPS done. */
const AT = { STOP: 0, FAULTS: 1, WRITER: 2, READERS: 3, ROWS: 8, WORKERS: 16 } as const;
const WORKER = { STAMP: 0, DEAD: 1, OPS: 2, WORDS: 3 } as const;
const PERMITS = 3;
const MOST_WORKERS = 100_000;

/** Acquires at random, and looks whether anyone has what excludes its own. */
async function work(
  semaphore: BoundedSemaphore,
  lock: RWLock,
  table: TableLock,
  seen: Numbers,
  [first, most, firstSeed, permits]: readonly [number, number, number, number],
): Promise<void> {
  const { view } = seen;
  const [STOP, FAULTS, WRITER, ROWS, WORKERS] = [0, 1, 2, 8, 16];
  const [STAMP, DEAD, OPS, WORDS] = [0, 1, 2, 3];
  /** One that does both forms by turns, or one of each: the blocking one must not wait for the other for ever. */
  const loop = async (me: number, form: 'any' | 'async' | 'blocking') => {
    const own = WORKERS + me * WORDS;
    let state = (firstSeed + me) | 1;
    // Source: xorshift by G. Marsaglia.
    const random = (n: number) => {
      state ^= state << 13;
      state ^= state >>> 17;
      state ^= state << 5;
      return (state >>> 0) % n;
    };
    const isDead = (id: number) => Atomics.load(view, WORKERS + id * WORDS + DEAD) === 1;
    const fault = (what: number) => Atomics.compareExchange(view, FAULTS, 0, what);
    /** Another has left its mark, which is in order only if it was killed: that is told a little later. */
    const mustBeDead = async (id: number, at: number) => {
      const end = performance.now() + 20_000;
      while (!isDead(id) && Atomics.load(view, at) === id + 1 && performance.now() < end)
        await new Promise(resolve => setTimeout(resolve, 1));
      if (!isDead(id)) fault(id * 10 + 1);
    };
    const alone = async (at: number) => {
      const before = Atomics.exchange(view, at, me + 1);
      if (before !== 0 && !isDead(before - 1)) {
        const end = performance.now() + 20_000;
        while (!isDead(before - 1) && performance.now() < end)
          await new Promise(resolve => setTimeout(resolve, 1));
        if (!isDead(before - 1)) fault(before * 10 + 2);
      }
    };
    const noMore = (at: number) => {
      if (Atomics.compareExchange(view, at, me + 1, 0) !== me + 1) fault(me * 10 + 3);
    };
    const holders = () => {
      const found = new Map<number, number>();
      for (let id = 0; id <= Math.min(most, me + 100); id++) {
        const stamp = Atomics.load(view, WORKERS + id * WORDS + STAMP);
        if (stamp !== 0 && !isDead(id)) found.set(id, stamp);
      }
      return found;
    };
    /** All that are found twice with the same stamp have had their permits at the same moment. */
    const count = async () => {
      const first = holders();
      const both = [...holders()].filter(([id, stamp]) => first.get(id) === stamp);
      if (both.length <= permits) return;
      let alive = 1;
      for (const [id, stamp] of both) {
        if (id === me) continue;
        const end = performance.now() + 20_000;
        const hasStamp = () => Atomics.load(view, WORKERS + id * WORDS + STAMP) === stamp;
        while (hasStamp() && !isDead(id) && performance.now() < end)
          await new Promise(resolve => setTimeout(resolve, 1));
        if (!isDead(id)) alive++;
      }
      if (alive > permits) fault(me * 10 + 4);
    };
    const dwell = async (blocking: boolean) => {
      const spins = random(200);
      for (let i = 0; i < spins; i++) Atomics.load(view, STOP);
      if (!blocking && random(4) === 0) await new Promise(resolve => setTimeout(resolve, random(3)));
    };
    while (Atomics.load(view, STOP) === 0) {
      const blocking = form === 'any' ? random(2) === 0 : form === 'blocking';
      const options =
        form !== 'blocking' && random(4) !== 0
          ? {}
          : random(2) === 0 || blocking
            ? { timeout: random(20) }
            : { signal: AbortSignal.timeout(random(20)) };
      const what = random(8);
      const row = random(3);
      try {
        if (what < 3) {
          const guard = blocking ? semaphore.acquireSync(options) : await semaphore.acquire(options);
          Atomics.store(view, own + STAMP, 1 + random(2 ** 30));
          await count();
          await dwell(blocking);
          Atomics.store(view, own + STAMP, 0);
          guard.release();
        } else if (what < 5) {
          const guard = blocking ? lock.readSync(options) : await lock.read(options);
          const writer = Atomics.load(view, WRITER);
          if (writer !== 0) await mustBeDead(writer - 1, WRITER);
          await dwell(blocking);
          guard.release();
        } else if (what === 5) {
          const guard = blocking ? lock.writeSync(options) : await lock.write(options);
          await alone(WRITER);
          await dwell(blocking);
          noMore(WRITER);
          guard.release();
        } else if (what === 6) {
          const guard = blocking ? table.rowSync(row, options) : await table.row(row, options);
          await alone(ROWS + row);
          await dwell(blocking);
          noMore(ROWS + row);
          guard.release();
        } else {
          const guard = blocking ? table.tableSync(options) : await table.table(options);
          for (let i = 0; i < 3; i++) await alone(ROWS + i);
          await dwell(blocking);
          for (let i = 0; i < 3; i++) noMore(ROWS + i);
          guard.release();
        }
      } catch (error) {
        const { code, name } = error as NodeJS.ErrnoException;
        if (code !== 'ERR_TIMEOUT' && name !== 'TimeoutError') throw error;
      }
      Atomics.add(view, own + OPS, 1);
      if (random(10) === 0 || form !== 'any') await new Promise(setImmediate);
    }
  };
  if (first % 4 === 0) await Promise.all([loop(first, 'async'), loop(first + 1, 'blocking')]);
  else await loop(first, 'any');
}

test(`nobody gets stuck and nobody has too much while some are killed (seed ${SEED})`, {
  timeout: SOAK + 120_000,
}, async () => {
  using semaphore = new BoundedSemaphore(PERMITS);
  using lock = new RWLock();
  using table = new TableLock();
  using seen = numbers(AT.WORKERS + MOST_WORKERS * WORKER.WORDS);
  const { view } = seen;
  let state = SEED | 1;
  const random = (n: number) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % n;
  };
  const crew: { id: number; peer: Peer<void>; ops: number; since: number; name: string }[] = [];
  let born = 0;
  const hire = () => {
    const id = born;
    born += 2;
    // Spawned processes take long to come: fewer of them.
    const carrier = carriers[[0, 0, 1, 1, 1, 1, 2][random(7)]];
    const peer = carrier.start(work, semaphore, lock, table, seen, [
      id,
      MOST_WORKERS,
      random(2 ** 31) | 1,
      PERMITS,
    ] as const);
    peer.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'ERR_WORKER_DIED') failure ??= error;
    });
    crew.push({ id, peer, ops: -1, since: performance.now(), name: carrier.name });
  };
  let failure: unknown;
  let kills = 0;
  const bury = async ({ id, peer }: (typeof crew)[number]) => {
    peer.kill();
    await peer.join();
    for (const one of [id, id + 1]) Atomics.store(view, AT.WORKERS + one * WORKER.WORDS + WORKER.DEAD, 1);
  };
  const lookForStuck = () => {
    const now = performance.now();
    for (const one of crew) {
      const ops = Atomics.load(view, AT.WORKERS + one.id * WORKER.WORDS + WORKER.OPS);
      if (ops !== one.ops) Object.assign(one, { ops, since: now });
      if (now - one.since < 30_000) continue;
      const lines = [semaphore, lock, table].map(({ cell }) => waiting(cell.at).length);
      failure ??= new Error(`Worker ${one.id} (${one.name}) is stuck after ${ops} steps; in line: ${lines}`);
    }
  };
  for (let i = 0; i < 8; i++) hire();
  const end = performance.now() + SOAK;
  try {
    while (performance.now() < end && failure === undefined && view[AT.FAULTS] === 0) {
      await sleep(random(60));
      const victims = crew.splice(random(crew.length), 1);
      if (random(4) === 0) victims.push(...crew.splice(random(crew.length), 1));
      await Promise.all(victims.map(bury));
      kills += victims.length;
      while (crew.length < 8) hire();
      lookForStuck();
    }
    Atomics.store(view, AT.STOP, 1);
    let atWork = crew.length;
    for (const { peer } of crew) void peer.join().then(() => atWork--);
    while (atWork > 0 && failure === undefined) {
      await sleep(10);
      lookForStuck();
    }
  } finally {
    for (const one of crew) await bury(one);
  }
  if (failure) throw failure;
  assert.equal(view[AT.FAULTS], 0);
  const ops = Array.from({ length: born }, (_, id) => view[AT.WORKERS + id * WORKER.WORDS + WORKER.OPS]);
  console.log(`${kills} killed, ${ops.reduce((sum, n) => sum + n, 0)} steps`);
  const guards = Array.from({ length: PERMITS }, () => semaphore.acquireSync({ timeout: 0 }));
  assert.equal(semaphore.tryAcquire(), null);
  for (const guard of guards) guard.release();
  assert.throws(() => semaphore.release(), { code: 'ERR_LOCK' });
  lock.writeSync({ timeout: 0 }).release();
  table.tableSync({ timeout: 0 }).release();
  for (const { cell } of [semaphore, lock, table]) assert.deepEqual(waiting(cell.at), []);
});
