import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { SharedMap } from './shared-map.js';

leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const RUNS = process.env.MANYHANDS_KILLS === undefined ? 60 : 3000;

type Key = string | number;
type Both = { readonly shared: SharedMap<Key>; readonly model: Map<Key, unknown> };
/** One call of both, and whether they agree. */
type Step = (both: Both) => void;

/** Few, so that they meet; of all sorts. */
const KEYS: readonly Key[] = [
  ...[...Array(12).keys()],
  ...['', 'a', 'b', '1', 'é', '\0', '\ud800', '漢字', 'k'.repeat(300), '漢'.repeat(300)],
  ...[-0, Number.NaN, -1, 0.5, 1e300, Number.POSITIVE_INFINITY, 2 ** 32],
];
const key = fc.constantFrom(...KEYS);
const value = fc.oneof(
  fc.integer(),
  fc.constant(undefined),
  fc.string({ maxLength: 40 }),
  fc.integer({ min: 100, max: 9000 }).map(length => 'v'.repeat(length)),
  fc.array(fc.double(), { maxLength: 20 }),
);

const single: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(key, value).map(([k, v]) => setting(k, v)) },
  { weight: 3, arbitrary: key.map(deleting) },
  { weight: 2, arbitrary: key.map(looking) },
  { weight: 2, arbitrary: fc.tuple(key, value).map(([k, v]) => updating(k, v)) },
  {
    weight: 2,
    arbitrary: fc.tuple(key, value, fc.boolean()).map(([k, v, isRight]) => comparing(k, v, isRight)),
  },
  { weight: 1, arbitrary: fc.constant<Step>(isSame) },
);
const rare: fc.Arbitrary<Step> = fc.oneof(
  fc.constant<Step>(({ shared, model }) => {
    shared.clear();
    model.clear();
  }),
  // As many as make the table, and the heap, grow and shrink.
  fc.integer({ min: 20, max: 300 }).map(count => (both: Both) => {
    for (let i = 0; i < count; i++) setting(`n${i}`, i)(both);
    for (let i = 0; i < count; i += 2) deleting(`n${i}`)(both);
  }),
);
const inside = fc.oneof({ weight: 20, arbitrary: single }, { weight: 1, arbitrary: rare });
const transaction: fc.Arbitrary<Step> = fc.tuple(fc.array(inside, { maxLength: 12 }), fc.boolean()).map(
  ([steps, fails]) =>
    both =>
      transacting(both, steps, fails),
);
const anything = fc.oneof({ weight: 12, arbitrary: inside }, { weight: 2, arbitrary: transaction });

function setting(k: Key, v: unknown): Step {
  return ({ shared, model }) => {
    shared.set(k, v);
    model.set(k, v);
  };
}

function deleting(k: Key): Step {
  return ({ shared, model }) => assert.equal(shared.delete(k), model.delete(k));
}

function looking(k: Key): Step {
  return ({ shared, model }) => {
    assert.equal(shared.has(k), model.has(k));
    assert.deepEqual(shared.get(k), model.get(k));
    assert.equal(shared.size, model.size);
  };
}

function updating(k: Key, v: unknown): Step {
  return ({ shared, model }) => {
    shared.update(k, old => {
      assert.deepEqual(old, model.get(k));
      return v;
    });
    if (v === undefined) model.delete(k);
    else model.set(k, v);
  };
}

function comparing(k: Key, v: unknown, isRight: boolean): Step {
  return ({ shared, model }) => {
    const version = shared.getEntry(k)?.version ?? null;
    assert.equal(version === null, !model.has(k));
    assert.equal(shared.compareAndSet(k, isRight ? version : (version ?? 0) + 1, v), isRight);
    if (isRight) model.set(k, v);
  };
}

function isSame({ shared, model }: Both): void {
  assert.deepEqual([...shared], [...model]);
  assert.deepEqual([...shared.keys()], [...model.keys()]);
  assert.deepEqual([...shared.values()], [...model.values()]);
  assert.equal(shared.size, model.size);
}

function transacting({ shared, model }: Both, steps: readonly Step[], fails: boolean): void {
  const before = new Map(model);
  const act = () =>
    shared.transaction(map => {
      assert.equal(map, shared);
      for (const step of steps) step({ shared, model });
      isSame({ shared, model });
      if (fails) throw new Error('not so');
      return 7;
    });
  if (!fails) {
    assert.equal(act(), 7);
    return;
  }
  assert.throws(act, { message: 'not so' });
  model.clear();
  for (const [k, v] of before) model.set(k, v);
  isSame({ shared, model });
}

test('a map does what a Map does, transactions included', { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 60 }), steps => {
      using shared = new SharedMap<Key>();
      const both = { shared, model: new Map<Key, unknown>() };
      for (const step of steps) step(both);
      isSame(both);
      for (const k of KEYS) looking(k)(both);
    }),
    { numRuns: RUNS },
  );
});
