import assert from 'node:assert/strict';
import { test } from 'node:test';
import { inspect } from 'node:util';
import { Pipe } from '../channel/pipe.js';
import { PriorityQueue } from '../channel/priority-queue.js';
import { Queue } from '../channel/queue.js';
import { Barrier } from '../sync/barrier.js';
import { Condition } from '../sync/condition.js';
import { EventFlag } from '../sync/event-flag.js';
import { Lock } from '../sync/lock.js';
import { RLock } from '../sync/rlock.js';
import { RWLock } from '../sync/rw-lock.js';
import { BoundedSemaphore, Semaphore } from '../sync/semaphore.js';
import type { SharedObject } from '../sync/shared-object.js';
import { TableLock } from '../sync/table-lock.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { SharedArray } from './shared-array.js';
import { Value } from './value.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

function shown(object: SharedObject, expected: string): void {
  assert.equal(inspect(object), expected);
  const { name } = object.constructor;
  assert.match(inspect([[[[object]]]], { depth: 3 }), new RegExp(`\\[${name}\\]`));
  object[Symbol.dispose]();
  assert.equal(inspect(object), `${name} <closed>`);
}

test('what is shared is printed in short, as it is', () => {
  const queue = new Queue<number>(5);
  queue.putNowait(1);
  queue.putNowait(2);
  shown(queue, 'Queue { maxsize: 5, size: 2 }');
  shown(new PriorityQueue(), 'PriorityQueue { size: 0 }');
  const lock = new Lock();
  const guard = lock.acquireSync();
  assert.equal(inspect(lock), 'Lock { locked: true }');
  guard.release();
  shown(lock, 'Lock { locked: false }');
  shown(new RLock(), 'RLock { locked: false }');
  shown(new Condition(), 'Condition { lock: RLock { locked: false } }');
  shown(new EventFlag(), 'EventFlag { isSet: false }');
  shown(new Barrier(3), 'Barrier { parties: 3, waiting: 0, broken: false }');
  shown(new Semaphore(4), 'Semaphore { value: 4 }');
  shown(new BoundedSemaphore(1), 'BoundedSemaphore { value: 1 }');
  shown(new RWLock(), 'RWLock { held: 0 }');
  shown(new TableLock(), 'TableLock { held: 0 }');
  shown(new Value('i32', 7), "Value { type: 'i32', value: 7 }");
  shown(new SharedArray('i8', [1, 2]), 'SharedArray { length: 2, view: Int8Array(2) [ 1, 2 ] }');
  using named = new Queue(0, { name: `inspect ${process.pid}` });
  assert.equal(inspect(named), `Queue "inspect ${process.pid}" { size: 0 }`);
});

test('an end of a pipe', () => {
  const [first, second] = Pipe<number>({ duplex: false });
  second.sendSync(1);
  assert.equal(inspect(first), 'Connection { readable: true, writable: false, unread: 1 }');
  assert.equal(inspect(second), 'Connection { readable: false, writable: true }');
  first.close();
  assert.equal(inspect(first), 'Connection <closed>');
  second.close();
});

test('what tells how two differ shows little of them, and they do differ', () => {
  const make = [
    () => new Queue(),
    () => new PriorityQueue(),
    () => new Lock(),
    () => new Condition(),
    () => new EventFlag(),
    () => new Barrier(2),
    () => new Semaphore(),
    () => new RWLock(),
    () => new Value('i32'),
    () => new SharedArray('i32', 4),
  ];
  for (const one of make) {
    const [a, b] = [one(), one()];
    assert.deepEqual(a, a);
    assert.throws(
      () => assert.deepEqual([a], [b]),
      (error: Error) => error instanceof assert.AssertionError && error.message.length < 10_000,
    );
    a[Symbol.dispose]();
    b[Symbol.dispose]();
  }
  const [a, b] = Pipe();
  assert.throws(
    () => assert.deepEqual([a], [b]),
    (error: Error) => error instanceof assert.AssertionError && error.message.length < 10_000,
  );
  a.close();
  b.close();
});
