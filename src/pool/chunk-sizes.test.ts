import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ChunkSizes } from './chunk-sizes.js';

/** What giving a chunk costs, ms. */
const GIVING = 0.01;

interface Run {
  readonly chunks: number[];
  /** When the last worker ended, ms; what the work alone takes when it is shared out perfectly. */
  readonly time: number;
  readonly ideal: number;
}

/** A map with `workers` over items that take so long each, ms, in a time of its own. */
function simulate(costs: readonly number[], workers: number, bytesAnItem = 10): Run {
  const sizes = new ChunkSizes(undefined);
  const free = new Array<number>(workers).fill(0);
  const underWay: { end: number; items: number; ms: number }[] = [];
  const chunks: number[] = [];
  let given = 0;
  let time = 0;
  while (given < costs.length || underWay.length > 0) {
    while (given < costs.length && underWay.length < sizes.ahead(workers)) {
      const items = Math.min(sizes.next(costs.length - given, workers), costs.length - given);
      sizes.given(items, items * bytesAnItem);
      const ms = costs.slice(given, given + items).reduce((sum, cost) => sum + cost, GIVING);
      given += items;
      chunks.push(items);
      const worker = free.indexOf(Math.min(...free));
      const end = Math.max(free[worker] as number, time) + ms;
      free[worker] = end;
      underWay.push({ end, items, ms });
    }
    underWay.sort((a, b) => a.end - b.end);
    const first = underWay.shift() as (typeof underWay)[number];
    time = first.end;
    sizes.over(first.items, first.ms);
  }
  return { chunks, time, ideal: costs.reduce((sum, cost) => sum + cost, 0) / workers };
}

test('items that take long go one by one, and all workers are busy until the end', () => {
  const { chunks, time } = simulate(new Array(16).fill(1000), 4);
  assert.ok(chunks.every(items => items === 1));
  assert.ok(time < 4001, `${time} ms`);
});

test('items that take next to nothing go by the thousand, and in ever smaller chunks towards the end', () => {
  const { chunks, time, ideal } = simulate(new Array(100_000).fill(0.0005), 2);
  assert.ok(chunks.length < 40, `${chunks.length} chunks`);
  assert.ok(time < ideal * 1.1, `${time} ms, ${ideal} at best`);
  assert.ok((chunks.at(-1) as number) < Math.max(...chunks) / 4);
});

test('items whose cost varies a hundredfold keep all workers busy until shortly before the end', () => {
  const costs = Array.from({ length: 3000 }, (_, i) => ((i * 7919) % 10 === 0 ? 10 : 0.1));
  const orders = {
    mixed: costs,
    dearLast: [...costs].sort((a, b) => a - b),
    dearFirst: [...costs].sort((a, b) => b - a),
  };
  for (const [order, list] of Object.entries(orders)) {
    const { time, ideal } = simulate(list, 4);
    assert.ok(time < ideal * 1.1, `${order}: ${time} ms, ${ideal} at best`);
  }
});

test('a chunk has no more than a few MiB of arguments', () => {
  const { chunks } = simulate(new Array(2000).fill(0.0001), 2, 2 ** 20);
  assert.equal(Math.max(...chunks.slice(2)), 4);
});

test('a first call that takes long does not keep chunks small', () => {
  const costs = new Array<number>(100_000).fill(0.0005);
  costs[0] = 50;
  assert.ok(simulate(costs, 2).chunks.length < 60);
});

test('as many chunks of a given size are under way as make up some work', () => {
  const sizes = new ChunkSizes(10);
  assert.deepEqual([sizes.next(5, 4), sizes.ahead(4)], [10, 8]);
  sizes.over(10, 1);
  assert.equal(sizes.ahead(4), 40);
  for (let i = 0; i < 20; i++) sizes.over(10, 0.001);
  assert.equal(sizes.ahead(4), 2048);
  for (let i = 0; i < 20; i++) sizes.over(10, 1000);
  assert.deepEqual([sizes.next(5, 4), sizes.ahead(4)], [10, 8]);
});
