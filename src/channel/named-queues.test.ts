import assert from 'node:assert/strict';
import path from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { NameInUseError, SerializationError, WorkerDiedError } from '../errors/errors.js';
import { Lock } from '../sync/lock.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { isOpenAnywhere, waitUntil } from '../testing/processes.js';
import { Program } from '../testing/programs.js';
import { crowds, ended, LIMIT, warmCarriers } from '../testing/sharing.js';
import { EXCHANGE, type Exchange } from './exchange.js';
import { JoinableQueue } from './joinable-queue.js';
import type { Ledger } from './ledger.js';
import { LifoQueue } from './lifo-queue.js';
import { CHANNEL, PAGE_BYTES } from './named-runs.js';
import { PriorityQueue } from './priority-queue.js';
import { Queue } from './queue.js';
import { bytesOf, EXTENT } from './queue-cell.js';
import { SimpleQueue } from './simple-queue.js';
import { checkRuns } from './testing/named-consistency.js';
import type { Act, Kind } from './testing/queue-program.js';

/* Queues that unrelated programs share by a name. */
leavesNothing({ warm: warmCarriers });
leavesNoBlocks();

const PROGRAM = path.join(__dirname, 'testing', 'queue-program.js');
/** With three programs killed in each. */
const ROUNDS = Number(process.env.MANYHANDS_KILLS ?? 1);
const KINDS = [Queue, SimpleQueue, JoinableQueue, LifoQueue, PriorityQueue] as const;

let names = 0;
function newName(): string {
  return `test ${process.pid}/${++names}`;
}

const programs: Program[] = [];
afterEach(async () => {
  for (const program of programs.splice(0)) await program.kill();
});

/** An unrelated program. */
class QueueProgram extends Program<Act> {
  /** Last number that its producer knows to be safe. */
  safe = -1;
  readonly got: [who: number, i: number][] = [];

  constructor() {
    super(PROGRAM, message => {
      if (message.got) this.got.push(message.got);
      else this.safe = message.safe;
    });
    programs.push(this);
  }

  /** Resolves to what it returns, or to the code of its error. */
  override async call<T = unknown>(act: Act, ...args: unknown[]): Promise<T> {
    return super.call<T>(act, ...args).catch(({ code, message }) => code ?? message);
  }
}

/** One that has opened the queue. */
async function programWith(kind: Kind, name: string, maxsize?: number): Promise<QueueProgram> {
  const program = new QueueProgram();
  assert.equal(await program.call('open', kind, name, maxsize), undefined);
  return program;
}

function isAnywhere(name: string): boolean {
  return isOpenAnywhere(`:${name}`);
}

/** Resolves once so many wait in line to get, to put, or to join. */
function untilWaiting(queue: Queue, what: 'PUTS' | 'TAKES' | 'LOOK', count: number): Promise<void> {
  const { cell } = queue;
  const { ledger } = queue as unknown as { ledger: Ledger };
  const word = what === 'LOOK' ? ledger.word : cell.at + EXCHANGE[what];
  return waitUntil(
    () => cell.home.waiting(word).length === count,
    () => `${count} to stand in line, not ${cell.home.waiting(word).length}`,
    30_000,
  );
}

/** All memory of the name is the queue's own, or free. To be called once the queue is empty and nobody is at it. */
function checkMemory(queue: Queue): void {
  const { exchange, ledger } = queue as unknown as { exchange: Exchange; ledger?: Ledger };
  exchange.space.free(exchange.space.allocate(1)); // what the dead had is free by now
  const { words, at } = queue.cell;
  const inUse = checkRuns(words, at + bytesOf(ledger !== undefined) / 4, EXTENT / PAGE_BYTES);
  const own = [...exchange.store.blocks(), ...(ledger?.blocks() ?? [])];
  assert.deepEqual([...inUse.keys()].sort(), own.sort());
  for (const { owner } of inUse.values()) assert.equal(owner, CHANNEL);
}

for (const Class of KINDS) {
  const kind = Class.name as Kind;
  describe(`a ${kind} by name`, () => {
    test('is one queue for unrelated programs, and gone with the last', LIMIT, async () => {
      const name = newName();
      {
        using queue = new Class<unknown>(0, { name });
        using again = new Class<unknown>(7, { name });
        const program = await programWith(kind, name, 9);
        const items = [1, 'two', { three: [3] }, null, 'x'.repeat(10_000)];
        for (const item of items) await queue.put(item);
        assert.equal(await program.call('call', name, 'qsize'), items.length);
        const order = kind === 'LifoQueue' ? [...items].reverse() : items;
        assert.deepEqual(await program.call('call', name, 'getMany', 3), order.slice(0, 3));
        assert.deepEqual(await program.call('call', name, 'getSync'), order[3]);
        assert.deepEqual(await again.get(), order[4]);
        assert.equal(await program.call('call', name, 'putMany', [1, 2, 3]), undefined);
        assert.deepEqual(await queue.getMany(9), kind === 'LifoQueue' ? [3, 2, 1] : [1, 2, 3]);
        checkMemory(queue);
        await program.kill();
        assert.equal(isAnywhere(name), true);
      }
      assert.equal(isAnywhere(name), false);
      using queue = new Class(0, { name });
      assert.equal(queue.empty(), true);
    });

    test('has the size that the first has given it, and is of one kind', LIMIT, async () => {
      const name = newName();
      using queue = new Class(2, { name });
      const program = await programWith(kind, name, 5);
      for (let i = 0; i < 2; i++) await program.call('call', name, 'put', i);
      assert.equal(queue.full(), true);
      assert.equal(await program.call('call', name, 'putNowait', 2), 'ERR_QUEUE_FULL');
      for (const Other of KINDS)
        if (Other !== Class) assert.throws(() => new Other(0, { name }), NameInUseError);
      const other = kind === 'Queue' ? 'SimpleQueue' : 'Queue';
      assert.equal(await new QueueProgram().call('open', other, name), 'ERR_NAME_IN_USE');
    });

    test(
      'has those wait who get and who put, in any program, until another acts or shuts it down',
      LIMIT,
      async () => {
        const name = newName();
        using queue = new Class<number>(1, { name });
        const others = [await programWith(kind, name), await programWith(kind, name)];
        for (const form of ['get', 'getSync']) {
          const gets = others.map(other => other.call('call', name, form));
          await untilWaiting(queue, 'PUTS', 2);
          await queue.put(1);
          await queue.put(1);
          assert.deepEqual(await Promise.all(gets), [1, 1]);
        }
        for (const form of ['put', 'putSync']) {
          await queue.put(0);
          const puts = others.map(other => other.call('call', name, form, 5));
          await untilWaiting(queue, 'TAKES', 2);
          assert.deepEqual([await queue.get(), await queue.get(), await queue.get()], [0, 5, 5]);
          assert.deepEqual(await Promise.all(puts), [undefined, undefined]);
        }
        const own = queue.get();
        assert.equal(await others[0].call('call', name, 'put', 7), undefined);
        assert.equal(await own, 7);
        const last = [others[0].call('call', name, 'get'), others[1].call('call', name, 'getSync')];
        await untilWaiting(queue, 'PUTS', 2);
        queue.shutdown();
        assert.deepEqual(await Promise.all(last), ['ERR_QUEUE_SHUT_DOWN', 'ERR_QUEUE_SHUT_DOWN']);
        assert.equal(await others[0].call('call', name, 'put', 1), 'ERR_QUEUE_SHUT_DOWN');
      },
    );

    test('takes what other programs can use, and refuses what only this one has', LIMIT, async () => {
      const [name, lockName] = [newName(), newName()];
      using queue = new Class<unknown>(0, { name });
      using lock = new Lock({ name: lockName });
      using hidden = new Lock();
      using other = new Queue();
      const program = await programWith(kind, name);
      for (const [item, at] of [
        [hidden, 'item'],
        [{ deep: [hidden] }, 'item.deep[0]'],
        [[other, 'x'.repeat(5000)], 'item[0]'],
        [() => hidden.locked(), 'hidden'],
      ] as const) {
        const refused = (error: unknown) =>
          error instanceof SerializationError &&
          error.path.endsWith(at) &&
          /lies in the memory of this program/.test(error.message);
        await assert.rejects(queue.put(item), refused);
        assert.throws(() => queue.putNowait(item), refused);
        await assert.rejects(queue.putMany([1, item]), refused);
      }
      assert.equal(queue.empty(), true);
      await queue.put({ lock, queue });
      assert.deepEqual(await program.call('describe', name), [
        ['lock', 'Lock'],
        ['queue', kind],
      ]);
      await program.call('putAdder', name, 5);
      assert.equal(((await queue.get()) as (n: number) => number)(2), 7);
      const ten = 10;
      await queue.put((n: number) => n + ten);
      assert.equal(await program.call('callGot', name, 1), 11);
      checkMemory(queue);
    });

    test('gives each item once, whoever is killed', { timeout: 120_000 }, async () => {
      const name = newName();
      using queue = new Class<[who: number, i: number]>(20, { name });
      const got = new Map<number, number[]>();
      const note = ([who, i]: readonly [number, number]) => got.set(who, [...(got.get(who) ?? []), i]);
      let lost = 0;
      for (let round = 0; round < ROUNDS; round++) {
        const [producer, victim, consumer] = await Promise.all([1, 2, 3].map(() => programWith(kind, name)));
        void producer.call('produce', name, round);
        void consumer.call('consume', name);
        void victim.call('consume', name);
        const enough = 100 + Math.floor(Math.random() * 100);
        for (let i = 0; i < enough; i++) {
          note(await queue.get());
          if (queue instanceof JoinableQueue) queue.taskDone();
        }
        await victim.kill();
        await producer.kill();
        for (;;) {
          try {
            note(await queue.get({ timeout: 100 }));
            if (queue instanceof JoinableQueue) queue.taskDone();
          } catch {
            break;
          }
        }
        await consumer.call('call', name, 'qsize'); // it has told of all that it got
        await consumer.kill();
        for (const item of [...victim.got, ...consumer.got]) note(item);
        const mine = got.get(round) ?? [];
        assert.equal(new Set(mine).size, mine.length, 'nothing came twice');
        const missing = Array.from({ length: producer.safe + 1 }, (_, i) => i).filter(i => !mine.includes(i));
        assert.ok(missing.length <= 1, `only what the victim was at may be lost, not ${missing}`);
        lost += missing.length;
        assert.ok(Math.max(...mine) <= producer.safe + 1);
        if (kind !== 'LifoQueue') {
          for (const { got } of [victim, consumer])
            assert.deepEqual(
              got,
              [...got].sort(([, a], [, b]) => a - b),
              'in order',
            );
        }
      }
      if (queue instanceof JoinableQueue) {
        const error = await queue.join().catch(error => error);
        const unfinished =
          error instanceof WorkerDiedError ? (error as never as { unfinished: number }).unfinished : 0;
        assert.ok(unfinished <= 8 && unfinished >= lost - 4, `${unfinished} unfinished, ${lost} lost`);
        for (let i = 0; i < unfinished; i++) queue.taskDone();
        assert.equal(queue.joinSync({ timeout: 0 }), true);
      }
      checkMemory(queue);
    });
  });
}

for (const Class of [JoinableQueue, LifoQueue, PriorityQueue]) {
  const kind = Class.name as Kind;
  test(`join() of a ${kind} waits for other programs, and fails when they die`, LIMIT, async () => {
    const name = newName();
    using queue = new Class<number>(0, { name });
    const [first, second] = [await programWith(kind, name), await programWith(kind, name)];
    await queue.putMany([1, 2, 3]);
    assert.equal(((await first.call('call', name, 'getMany', 2)) as []).length, 2);
    await queue.get();
    const joins = [queue.join(), second.call('call', name, 'join')];
    await untilWaiting(queue, 'LOOK', 2);
    await first.call('call', name, 'taskDone');
    queue.taskDone();
    assert.equal(queue.joinSync({ timeout: 0 }), false);
    await first.call('call', name, 'taskDone');
    assert.deepEqual(await Promise.all(joins), [undefined, undefined]);
    assert.equal(await first.call('call', name, 'taskDone'), 'ERR_LIFECYCLE');

    await queue.putMany([1, 2]);
    await first.call('call', name, 'getMany', 2);
    const doomed = [queue.join().catch(error => error), second.call('call', name, 'join')];
    await untilWaiting(queue, 'LOOK', 2);
    await first.kill();
    const error = await doomed[0];
    assert.ok(error instanceof WorkerDiedError);
    assert.deepEqual([error.pid, (error as { unfinished?: number }).unfinished], [first.child.pid, 2]);
    assert.equal(await doomed[1], 'ERR_WORKER_DIED');
    const blocked = second.call('call', name, 'joinSync');
    assert.equal(await blocked, 'ERR_WORKER_DIED');
    queue.taskDone();
    await second.call('call', name, 'taskDone');
    await queue.join();

    queue.putNowait(1);
    await second.call('call', name, 'get');
    const last = queue.join().catch(thrown => thrown);
    await untilWaiting(queue, 'LOOK', 1);
    await second.call('dispose', name);
    assert.ok((await last) instanceof WorkerDiedError, 'who closes it pays no more');
  });
}

for (const carrier of crowds) {
  test(`named queues cross by their names, over ${carrier.name}`, LIMIT, async () => {
    for (const Class of KINDS) {
      using queue = new Class<unknown>(0, { name: newName() });
      const peer = carrier.start((given: Queue<unknown>) => {
        given.putSync(['from there', given]);
        given[Symbol.dispose]();
        return given.constructor.name;
      }, queue);
      assert.deepEqual(await queue.get(), ['from there', queue]);
      assert.deepEqual(await ended(peer), [Class.name]);
    }
  });
}

test('items of many MiB pass', LIMIT, async () => {
  const name = newName();
  using queue = new Queue<Uint8Array>(0, { name });
  const program = await programWith('Queue', name);
  const bytes = new Uint8Array(100 * 2 ** 20);
  for (let i = 0; i < bytes.length; i += 4096) bytes[i] = i >>> 12;
  await queue.put(bytes);
  const got = await queue.get();
  assert.equal(Buffer.compare(bytes, got), 0);
  await queue.put(bytes);
  assert.equal(await program.call('call', name, 'qsize'), 1);
  await program.call('call', name, 'shutdown', { immediate: true });
  checkMemory(queue);
});

test('what is put waits while there is no memory, and one item always fits', LIMIT, async () => {
  const name = newName();
  using queue = new Queue<Uint8Array>(0, { name });
  const { words, at } = queue.cell;
  words[at + EXCHANGE.LIMIT] = 1024; // KiB
  await queue.put(new Uint8Array(2 ** 22));
  let isIn = false;
  const put = queue.put(new Uint8Array(10)).then(() => {
    isIn = true;
  });
  await untilWaiting(queue, 'TAKES', 1);
  assert.equal(isIn, false);
  assert.equal((await queue.get()).length, 2 ** 22);
  await put;
  assert.equal((await queue.get()).length, 10);
});
