import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { collect } from '../testing/collect.js';
import { Backlog } from './backlog.js';
import type { Task } from './task.js';

let count = 0;
/** What a backlog needs of a task. */
const task = (priority = 0) => ({ id: ++count, priority, waits: false }) as Task;

const isBefore = (a: Task, b: Task) => a.priority < b.priority || (a.priority === b.priority && a.id < b.id);

/** What should be: all that wait, and those that were taken, from which some may come back. */
class Model {
  waiting: Task[] = [];
  taken: Task[] = [];

  get next(): Task | undefined {
    return this.waiting.reduce<Task | undefined>((a, b) => (a && isBefore(a, b) ? a : b), undefined);
  }
}

const priority = fc.oneof(
  fc.constantFrom(0, -0, 1, 2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
  fc.double({ noNaN: true, min: -3, max: 3 }),
);
const acts = fc.array(
  fc.oneof(
    { weight: 5, arbitrary: fc.record({ add: priority }) },
    { weight: 4, arbitrary: fc.record({ take: fc.nat(3) }) },
    { weight: 1, arbitrary: fc.record({ back: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 2, arbitrary: fc.record({ callOff: fc.nat() }) },
  ),
  { maxLength: 120 },
);

test('gives the most urgent first and the oldest of these, whatever left, came back or was called off', () => {
  fc.assert(
    fc.property(acts, script => {
      const backlog = new Backlog();
      const model = new Model();
      for (const act of script) {
        if ('add' in act) {
          const added = task(act.add);
          backlog.add(added);
          model.waiting.push(added);
        } else if ('take' in act) {
          for (let i = 0; i <= act.take && model.next; i++) {
            const { next } = model;
            assert.equal(backlog.peek(), next);
            assert.equal(backlog.remove(next), true);
            model.waiting.splice(model.waiting.indexOf(next), 1);
            model.taken.push(next);
          }
        } else if ('back' in act) {
          const back = model.taken.filter((_, i) => i % act.back === 0);
          model.taken = model.taken.filter(one => !back.includes(one));
          backlog.addBack([...back]);
          model.waiting.push(...back);
        } else if (model.waiting.length > 0) {
          const [gone] = model.waiting.splice(act.callOff % model.waiting.length, 1);
          assert.equal(backlog.remove(gone), true);
          assert.equal(backlog.remove(gone), false);
        }
        assert.equal(backlog.size, model.waiting.length);
        assert.equal(backlog.peek(), model.next);
        assert.deepEqual(new Set(backlog), new Set(model.waiting));
      }
    }),
    { numRuns: Number(process.env.MANYHANDS_RUNS ?? 200) },
  );
});

test('what was called off is not kept, neither within a priority nor as the only one of many', async () => {
  const backlog = new Backlog();
  backlog.add(task(-1));
  const dead: WeakRef<Task>[] = [];
  for (let i = 0; i < 10_000; i++) {
    for (const one of [task(i), task(-0.5)]) {
      backlog.add(one);
      backlog.remove(one);
      if (i < 5000) dead.push(new WeakRef(one));
    }
  }
  await collect();
  assert.equal(dead.filter(one => one.deref()).length, 0);
  assert.equal(backlog.size, 1);
});

test('what was taken is not kept', async () => {
  const backlog = new Backlog();
  const taken: WeakRef<Task>[] = [];
  for (let i = 0; i < 500; i++) backlog.add(task());
  const take = () => {
    const next = backlog.peek() as Task;
    backlog.remove(next);
    return new WeakRef(next);
  };
  for (let i = 0; i < 400; i++) taken.push(take());
  await collect();
  assert.equal(taken.filter(one => one.deref()).length, 0);
  assert.equal(backlog.size, 100);
});

test('a hundred thousand different priorities take no longer than the sorting of them', () => {
  const backlog = new Backlog();
  const start = performance.now();
  for (let i = 0; i < 100_000; i++) backlog.add(task((i * 7919) % 100_003));
  let last = Number.NEGATIVE_INFINITY;
  for (let next = backlog.peek(); next; next = backlog.peek()) {
    assert.ok(next.priority >= last);
    last = next.priority;
    backlog.remove(next);
  }
  const took = performance.now() - start;
  assert.ok(took < 5000, `${took} ms`); // a fraction of a second; where each has to be searched for, minutes
});
