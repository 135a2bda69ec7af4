import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import type { Cell } from '../sync/cell.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { explore, lower, type Plan, play, raise, randomOf } from '../wait/testing/schedules.js';
import { EXCHANGE, type Exchange } from './exchange.js';
import { openQueue } from './queue-cell.js';
import { drain, type ExchangeRole, exchangeAt, type Report } from './testing/exchange-roles.js';

/* An exchange with its log under random schedules of the real code: see wait/testing/schedules.ts. */
leavesNothing();
leavesNoBlocks();

const limit = { timeout: 170_000 };
const QUEUE = { kind: 'Queue', order: 'first', joinable: false } as const;
const STYLES = ['blocking', 'async', 'impatient', 'aborting', 'hasty'] as const;
/** The steps of a thread in these runs are fewer, mostly. */
const SPAN = 400;

before(raise);
after(lower);

/** What one tells that has died before it did anything. */
const NOTHING = { got: [], put: 0, ended: false, readable: false };

interface Play {
  readonly reports: readonly Report[];
  /** What each had told when nobody could go on by himself; undefined: it waited. */
  readonly unaided: readonly (Report | undefined)[];
  /** What was left in the exchange. */
  readonly left: readonly number[];
}

/** What a thread does; its style is chosen by the seed. */
type Part = Pick<ExchangeRole, 'act'> & Partial<ExchangeRole>;

/** One run with an exchange, and another for those who relay. */
async function perform(
  seed: number,
  bound: number,
  parts: readonly Part[],
  plan: Omit<Plan, 'help'> = {},
): Promise<Play> {
  const random = randomOf(seed + 1);
  const cells = [openQueue(QUEUE, bound, {}), openQueue(QUEUE, 0, {})];
  const patience = [0, 100][random(2)];
  const [exchange, other] = cells.map(one => exchangeAt(one, patience));
  const [cell, otherCell] = cells.map(one => one.passOn());
  const roles = parts.map(
    (part): ExchangeRole => ({
      kind: 'scripted',
      module: path.join(__dirname, 'testing', 'exchange-roles.js'),
      word: cells[0].at + EXCHANGE.PUTS,
      cell,
      other: otherCell,
      style: STYLES[random(STYLES.length)],
      patience,
      count: 0,
      ...part,
    }),
  );
  const help = (results: readonly (string | undefined)[]) => {
    const waits = roles.filter((_, i) => results[i] === undefined);
    checkThatNobodyIsStuck(exchange, bound, waits, cells[0]);
    for (const one of [exchange, other]) one.shutDown(false);
  };
  const outcome = await play(roles, seed, { span: SPAN, ...plan, help });
  for (const result of outcome.results) assert.match(result, /^{/);
  const left = drain(exchange);
  for (const one of cells) one.free();
  const parse = (result: string | undefined) =>
    result === undefined ? undefined : { ...NOTHING, ...(JSON.parse(result) as Report) };
  const reports = outcome.results.map(result => parse(result) as Report);
  checkItems(roles, reports, left);
  return { reports, unaided: outcome.unaided.map(parse), left };
}

/** Nobody can go on: so there is nothing for those who wait. */
function checkThatNobodyIsStuck(
  exchange: Exchange,
  bound: number,
  waits: readonly ExchangeRole[],
  cell: Cell,
) {
  const told = cell.words[cell.at + EXCHANGE.COUNT];
  exchange.lock(); // should a dead one still have it
  exchange.unlock();
  const { count } = exchange;
  const state = `of ${bound} items ${count} (${told} by the word) are in it`;
  for (const { act, style } of waits) {
    if (act === 'put' || act === 'close')
      assert.ok(bound > 0 && count >= bound, `one (${style}) waits to put; ${state}`);
    else if (act !== 'block') assert.equal(count, 0, `one (${style}) waits to ${act}; ${state}`);
  }
}

/** Nothing came twice, nothing of nowhere, nothing is lost but what a dead one was getting; each putter's in its order. */
function checkItems(
  roles: readonly ExchangeRole[],
  reports: readonly Report[],
  left: readonly number[],
): void {
  const got = [
    ...reports.flatMap((report, i) => (roles[i].act === 'block' ? report.got.slice(1) : report.got)),
    ...left,
  ];
  assert.equal(new Set(got).size, got.length, `some came twice: ${got}`);
  const possible = roles.flatMap(({ items = [] }, i) =>
    items.slice(0, reports[i].put + (reports[i].died ? 1 : 0)),
  );
  for (const item of got) assert.ok(possible.includes(item), `${item} was never put`);
  const lost = roles
    .flatMap(({ items = [] }, i) => items.slice(0, reports[i].put))
    .filter(item => !got.includes(item));
  const dead = reports.filter(({ died }, i) => died && roles[i].act !== 'put').length;
  assert.ok(lost.length <= dead, `${lost} are lost`);
  const inOrder = reports.filter((_, i) => roles[i].act !== 'block').map(report => report.got);
  for (const some of [...inOrder, left])
    for (const [i, item] of some.entries())
      for (const earlier of some.slice(0, i))
        assert.ok(earlier >> 4 !== item >> 4 || earlier < item, `${item} came after ${earlier}`);
}

/** Items of a putter: 16 at most. */
function itemsOf(putter: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => putter * 16 + 4 + i);
}

test('as many gets as puts: all of them come to something', limit, async () => {
  await explore(async seed => {
    const bound = Math.abs(seed) % 3;
    const { unaided } = await perform(seed, bound, [
      { act: 'put', items: itemsOf(1, 3) },
      { act: 'get', count: 2 },
      { act: 'put', items: itemsOf(2, 4) },
      { act: 'get', count: 3 },
      { act: 'get', count: 2 },
    ]);
    assert.deepEqual(
      unaided.map(report => report && (report.put || report.got.length)),
      [3, 2, 4, 3, 2],
    );
  });
});

test('whoever dies, nothing is lost or got twice, and nobody waits for what is there', limit, async () => {
  await explore(async seed => {
    await perform(
      seed,
      Math.abs(seed) % 3,
      [
        { act: 'put', items: itemsOf(1, 4) },
        { act: 'get', count: 3 },
        { act: 'put', items: itemsOf(2, 4) },
        { act: 'get', count: 3 },
        { act: 'get', count: 2 },
      ],
      { deaths: 2 },
    );
  });
});

test('what was put before it was closed is got by those who get until the end', limit, async () => {
  await explore(async seed => {
    const { reports, unaided, left } = await perform(seed, Math.abs(seed) % 3, [
      { act: 'get', count: 9 },
      { act: 'close', items: itemsOf(1, 3) },
      { act: 'get', count: 9 },
      { act: 'put', items: itemsOf(2, 3) },
    ]);
    assert.ok(
      unaided.every(report => report !== undefined),
      'one waits on',
    );
    assert.deepEqual(left, []);
    for (const { got, ended } of [reports[0], reports[2]]) assert.ok(ended && got.length < 9);
  });
});

test('who watches sees what is left, and takes nothing from those who get', limit, async () => {
  await explore(async seed => {
    const { unaided } = await perform(seed, Math.abs(seed) % 3, [
      { act: 'watch' },
      { act: 'put', items: itemsOf(1, 2) },
      { act: 'get', count: 2 },
      { act: 'watch' },
      { act: 'put', items: itemsOf(2, 1) },
    ]);
    assert.deepEqual(
      unaided.map(report => report && (report.put || report.got.length || Number(report.readable))),
      [1, 2, 2, 1, 1],
    );
  });
});

test('who watches sees what is left, whoever dies', limit, async () => {
  await explore(async seed => {
    await perform(
      seed,
      Math.abs(seed) % 3,
      [
        { act: 'watch' },
        { act: 'put', items: itemsOf(1, 2) },
        { act: 'get', count: 2 },
        { act: 'watch' },
        { act: 'put', items: itemsOf(2, 2) },
      ],
      { deaths: 2 },
    );
  });
});

test('one that blocks while it is called holds up nobody', limit, async () => {
  await explore(async seed => {
    const { unaided } = await perform(seed, Math.abs(seed) % 3, [
      { act: 'block' },
      { act: 'put', items: itemsOf(1, 2), style: 'hasty' },
      { act: 'relay', count: 1 },
      { act: 'get', count: 1 },
      { act: 'put', items: itemsOf(2, 1) },
    ]);
    assert.deepEqual(
      unaided.map(report => report && (report.got.length || report.put)),
      [2, 2, 1, 1, 1],
    );
  });
});
