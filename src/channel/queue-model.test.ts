import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep, setImmediate as turn } from 'node:timers/promises';
import { random } from '../sync/testing/random.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { openDoorbell } from '../wait/doorbell.js';
import { Queue } from './queue.js';
import { getters, LIMIT, putters, range } from './testing/queues.js';

/*
 * A Queue in one thread beside a model of it, at random. MANYHANDS_SEED: the seed of one run to repeat; MANYHANDS_RUNS: how many
 * there are.
 */
leavesNothing({ warm: openDoorbell });
leavesNoBlocks();

const RUNS = Number(process.env.MANYHANDS_RUNS ?? 40);
const SEED = process.env.MANYHANDS_SEED;

const EMPTY = 'ERR_QUEUE_EMPTY';
const FULL = 'ERR_QUEUE_FULL';
const SHUT = 'ERR_QUEUE_SHUT_DOWN';
const ABORTED = 'aborted';

/** Runs it with one seed after the other, and tells with which it failed. */
async function runs(run: (next: (below: number) => number) => Promise<void>): Promise<void> {
  const first = Math.floor(Math.random() * 2 ** 32);
  for (let i = 0; i < (SEED === undefined ? RUNS : 1); i++) {
    const seed = SEED === undefined ? first + i : Number(SEED);
    const number = random(seed);
    try {
      await run(below => Math.floor(number() * below));
    } catch (cause) {
      throw new Error(`with MANYHANDS_SEED=${seed}: ${cause}`, { cause });
    }
  }
}

/** A call that may wait, and what came of it. */
interface Call {
  readonly kind: 'get' | 'getMany' | 'put' | 'putMany';
  /** Items to put that are not in yet. */
  items: number[];
  readonly max: number;
  put: number;
  outcome: unknown;
}

/** What should be. */
class Model {
  items: number[] = [];
  gets: Call[] = [];
  puts: Call[] = [];
  state: 'open' | 'draining' | 'shut' = 'open';
  readonly #bound: number;

  constructor(bound: number) {
    this.#bound = bound;
  }

  get room(): number {
    return this.#bound === 0 ? Number.POSITIVE_INFINITY : this.#bound - this.items.length;
  }

  begin(call: Call): void {
    if (call.kind === 'get' || call.kind === 'getMany') this.gets.push(call);
    else if (call.items.length === 0) call.outcome = 'put';
    else this.puts.push(call);
    this.#serve();
  }

  /** What waits still waits no more. */
  giveUp(call: Call, outcome: unknown): void {
    if (call.outcome !== undefined) return;
    call.outcome = outcome;
    this.gets = this.gets.filter(other => other !== call);
    this.puts = this.puts.filter(other => other !== call);
    this.#serve();
  }

  shutDown(immediate: boolean): void {
    this.state = immediate ? 'shut' : this.state === 'open' ? 'draining' : this.state;
    if (immediate) this.items = [];
    this.#serve();
  }

  #serve(): void {
    if (this.state !== 'open') {
      for (const put of this.puts) put.outcome = SHUT;
      this.puts = [];
    }
    for (let goesOn = true; goesOn; ) {
      goesOn = false;
      const [put] = this.puts;
      if (put && this.room > 0) {
        goesOn = true;
        const some = put.items.splice(0, Math.min(this.room, put.items.length));
        this.items.push(...some);
        put.put += some.length;
        if (put.items.length === 0) this.puts.shift();
        if (put.items.length === 0) put.outcome = 'put';
      }
      const [get] = this.gets;
      if (get && this.items.length > 0) {
        goesOn = true;
        get.outcome = get.kind === 'get' ? this.items.shift() : this.items.splice(0, get.max);
        this.gets.shift();
      } else if (get && this.state !== 'open') {
        goesOn = true;
        get.outcome = SHUT;
        this.gets.shift();
      }
    }
  }
}

test('any run of calls goes as in the model, step by step', LIMIT, async () => {
  await runs(async next => {
    const bound = [0, 1, 2, 5][next(4)];
    using queue = new Queue<number>(bound);
    const model = new Model(bound);
    const calls: { model: Call; outcome: unknown; put: number; controller: AbortController }[] = [];
    let count = 0;
    const some = () => {
      count += 8;
      return range(next(8), count - 8);
    };
    const long = next(3) === 0 ? 1e6 : undefined;

    const begin = (kind: Call['kind'], timeout?: number) => {
      const items = kind === 'put' ? [count++] : kind === 'putMany' ? some() : [];
      const call: Call = { kind, items: [...items], max: 1 + next(4), put: 0, outcome: undefined };
      const controller = new AbortController();
      const entry = { model: call, outcome: undefined as unknown, put: items.length, controller };
      calls.push(entry);
      const options = { signal: controller.signal, timeout: timeout ?? long };
      const wait: Promise<unknown> =
        kind === 'get'
          ? queue.get(options)
          : kind === 'getMany'
            ? queue.getMany(call.max, options)
            : (kind === 'put' ? queue.put(items[0], options) : queue.putMany(items, options)).then(
                () => 'put',
              );
      const end = wait.then(
        value => {
          entry.outcome = value;
        },
        error => {
          entry.outcome = error?.code ?? error;
          entry.put = error.put ?? 0;
        },
      );
      model.begin(call);
      return { call, end };
    };
    /** What is done at once or not at all. */
    const now = (kind: 'get' | 'put') => {
      const item = kind === 'put' ? count++ : 0;
      const call: Call = {
        kind,
        items: kind === 'put' ? [item] : [],
        max: 1,
        put: 0,
        outcome: undefined,
      };
      let outcome: unknown;
      const forms = [{ timeout: 0 }, { timeout: next(3) }];
      try {
        if (kind === 'put') {
          if (next(2) === 0) queue.putNowait(item);
          else queue.putSync(item, forms[next(2)]);
          outcome = 'put';
        } else outcome = next(2) === 0 ? queue.getNowait() : queue.getSync(forms[next(2)]);
      } catch (error) {
        outcome = (error as { code?: unknown }).code;
      }
      model.begin(call);
      model.giveUp(call, kind === 'put' ? FULL : EMPTY);
      assert.equal(outcome, call.outcome, `${kind} at once`);
    };
    const expected = () => calls.map(({ model }) => model.outcome);
    const actual = () => calls.map(({ outcome }) => outcome);
    const settle = async () => {
      const isAsExpected = () => calls.every(({ model, outcome }) => typeof model.outcome === typeof outcome);
      for (let i = 0; i < 300 && !isAsExpected(); i++) await turn();
      await turn();
      assert.equal(JSON.stringify(actual()), JSON.stringify(expected()), 'what came of the calls');
      assert.equal(queue.qsize(), model.items.length);
      assert.equal(queue.empty(), model.items.length === 0);
      assert.equal(queue.full(), model.room === 0);
      assert.deepEqual([getters(queue), putters(queue)], [model.gets.length, model.puts.length]);
    };
    const kinds = ['get', 'getMany', 'put', 'putMany'] as const;
    /** Many at once call many of those who wait; who finds that others were quicker stands in line anew, in any order. */
    const allowed = (kind: Call['kind']) => {
      if (kind === 'getMany' && model.puts.length > 1) return 'get';
      if (kind === 'putMany' && model.gets.length > 1) return 'put';
      return kind;
    };
    const steps = 20 + next(60);
    for (let step = 0; step < steps; step++) {
      const what = next(100);
      if (what < 60) begin(allowed(kinds[next(4)]));
      else if (what < 70) {
        const kind = allowed(kinds[next(4)]);
        // In no time, those who wait cannot make room for all.
        const { call, end } = begin(kind === 'putMany' && model.gets.length > 0 ? 'put' : kind, next(3));
        await end;
        model.giveUp(call, call.kind.startsWith('get') ? EMPTY : FULL);
      } else if (what < 80) now(next(2) === 0 ? 'get' : 'put');
      else if (what < 98) {
        const waiting = calls.filter(({ model: { outcome } }) => outcome === undefined);
        for (const { model: call, controller } of waiting.filter(() => next(4) === 0)) {
          controller.abort(ABORTED);
          model.giveUp(call, ABORTED);
        }
      } else {
        const immediate = next(2) === 0;
        queue.shutdown({ immediate });
        model.shutDown(immediate);
      }
      await settle();
    }
    queue.shutdown({ immediate: true });
    model.shutDown(true);
    await settle();
    for (const { model: call, put, outcome } of calls)
      if (call.kind === 'putMany' && outcome !== ABORTED) assert.equal(put, call.put);
  });
});

test('whatever is given up at whatever moment, nothing is lost, doubled or out of order', LIMIT, async () => {
  await runs(async next => {
    const bound = [0, 1, 2, 7][next(4)];
    const queue = new Queue<readonly [producer: number, i: number]>(bound);
    const immediate = next(3) === 0;
    const isBlocking = next(2) === 0;
    const put: number[][] = [];
    const got: (readonly [number, number])[][] = [];
    const [producers, consumers] = [1 + next(5), 1 + next(5)];
    let isOver = false;

    /** How the next call may be given up. */
    const terms = () => {
      const how = next(10);
      if (how < 2) return { timeout: next(3) };
      if (how < 5) {
        const controller = new AbortController();
        const abort = () => controller.abort(new Error(ABORTED));
        if (how === 2) queueMicrotask(abort);
        else if (how === 3) setImmediate(abort);
        else setTimeout(abort, next(3));
        return { signal: controller.signal };
      }
      return {};
    };
    const pause = async () => {
      const how = next(12);
      if (how === 0) await sleep(next(2));
      else if (how < 4) await turn();
    };
    const expected = new Set([EMPTY, FULL, ABORTED]);
    const check = (error: any) => {
      if (!expected.has(error.code) && error.message !== ABORTED) throw error;
    };

    const produce = async (me: number) => {
      put[me] = [];
      for (let i = 0; !isOver; await pause()) {
        const many = next(6) === 0 ? 1 + next(6) : 1;
        const items = range(many, i).map(n => [me, n] as const);
        i += many;
        try {
          if (many > 1) await queue.putMany(items, terms());
          else if (isBlocking && next(4) === 0) queue.putSync(items[0], { timeout: next(2) });
          else await queue.put(items[0], terms());
          put[me].push(...items.map(([, n]) => n));
        } catch (error) {
          const { put: some = 0 } = error as { put?: number };
          put[me].push(...items.slice(0, some).map(([, n]) => n));
          if ((error as { code?: string }).code === SHUT) return;
          check(error);
        }
      }
    };
    const consume = async (me: number) => {
      const mine: (readonly [number, number])[] = [];
      got[me] = mine;
      for (;;) {
        try {
          if (next(5) === 0) mine.push(...(await queue.getMany(1 + next(5), terms())));
          else if (isBlocking && next(4) === 0) mine.push(queue.getSync({ timeout: next(2) }));
          else mine.push(await queue.get(terms()));
        } catch (error) {
          if ((error as { code?: string }).code === SHUT) return;
          check(error);
        }
        await pause();
      }
    };
    const all = [...range(producers).map(produce), ...range(consumers).map(consume)];
    await sleep(10 + next(20));
    if (next(2) === 0) isOver = true;
    queue.shutdown({ immediate });
    isOver = true;
    await Promise.all(all);

    assert.equal(queue.qsize(), 0);
    assert.equal(getters(queue) + putters(queue), 0);
    for (const me of range(producers)) {
      const items = got.map(mine => mine.filter(([producer]) => producer === me).map(([, i]) => i));
      for (const mine of items)
        assert.deepEqual(
          mine,
          mine.toSorted((a, b) => a - b),
          'each sees them in order',
        );
      const all = items.flat().sort((a, b) => a - b);
      assert.deepEqual(all, put[me].slice(0, immediate ? all.length : undefined), `of producer ${me}`);
    }
    queue[Symbol.dispose]();
  });
});
