import assert from 'node:assert/strict';
import { type ChildProcess, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { fstatSync, readdirSync, readlinkSync } from 'node:fs';
import path from 'node:path';
import { afterEach, test } from 'node:test';
import { ClosedError, OutOfMemoryError } from '../errors/errors.js';
import { memoryAvailable, memoryLimit } from '../platform/platform.js';
import type { Home } from '../sync/home.js';
import { random } from '../sync/testing/random.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { openDoorbell } from '../wait/doorbell.js';
import {
  CHANNEL,
  COUNT_MASK,
  KIND,
  KIND_BIT,
  PAGE_BYTES,
  RECORD,
  RECORD_WORDS,
  TABLE,
} from './named-runs.js';
import { NamedSpace } from './named-space.js';
import { checkRuns, type InUse } from './testing/named-consistency.js';
import { exchange, fill, open as openShared, type Shared, verify } from './testing/named-space.js';
import type { Request } from './testing/named-space-peer.js';

leavesNothing({ warm: openDoorbell });

const LIMIT = { timeout: 60_000 };
const PEER = path.join(__dirname, 'testing', 'named-space-peer.js');
const MIB = 2 ** 20;
const GIB = 2 ** 30;
/** As much as is kept of freed memory, and the table. */
const KEPT = 24 * MIB;

let names = 0;
function newName(): string {
  return `test space ${process.pid}/${++names}`;
}

const closing: Shared[] = [];
const peers: ChildProcess[] = [];
afterEach(async () => {
  for (const shared of closing.splice(0)) shared.close();
  for (const peer of peers.splice(0)) await kill(peer);
});

function open(name = newName(), bytes?: number): Shared {
  const shared = openShared(name, bytes);
  closing.push(shared);
  return shared;
}

function start(request: Request): ChildProcess {
  const peer = fork(PEER, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  peer.send(request);
  peers.push(peer);
  return peer;
}

/** By a signal: so it must have been well until then. */
async function kill(peer: ChildProcess): Promise<void> {
  if (peer.signalCode !== null) return;
  assert.equal(peer.exitCode, null, 'it failed');
  const ended = once(peer, 'exit');
  peer.kill('SIGKILL');
  await ended;
  assert.equal(peer.signalCode, 'SIGKILL', 'it failed');
}

/** Bytes that the kernel holds for the memory of this name. */
function resident(name: string): number {
  for (const fd of readdirSync('/proc/self/fd')) {
    let link = '';
    try {
      link = readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      continue; // that of the listing itself
    }
    if (link === `/memfd:manyhands:test:${name} (deleted)`) return fstatSync(Number(fd)).blocks * 512;
  }
  throw new Error('it is not open');
}

test('a block is the thread’s, then the channel’s, then the thread’s again', LIMIT, () => {
  const { space, check, home } = open();
  for (const size of [0, 1, 4096, 4097, 100_000, 9 * MIB]) {
    const handle = space.allocate(size);
    assert.ok(space.sizeOf(handle) >= size && space.sizeOf(handle) < size + 2 * PAGE_BYTES);
    assert.equal(check().get(handle)?.owner, home.self());
    space.reclaim(handle);
    space.keep(handle);
    assert.equal(check().get(handle)?.owner, CHANNEL);
    assert.throws(() => space.free(handle), RangeError);
    space.take(handle);
    space.reclaim(handle);
    assert.equal(check().get(handle)?.owner, home.self());
    const { bytes, words } = space.at(handle, size);
    assert.deepEqual([bytes.length, words.length], [size, Math.ceil(size / 4)]);
    space.free(handle);
    assert.equal(check().size, 0);
    assert.throws(() => space.free(handle), RangeError);
    assert.throws(() => space.sizeOf(handle), RangeError);
  }
});

test('what is the channel’s is reclaimed, and once only', LIMIT, () => {
  const { space, check } = open();
  const [first, second] = [space.allocate(5000), space.allocate(5000)];
  space.keep(first);
  space.reclaim(first);
  assert.deepEqual([...check().keys()], [second]);
  space.reclaim(first);
  space.reclaim(0);
  space.reclaim(2 ** 32 - 1);
  const again = space.allocate(5000);
  assert.equal(again, first);
  space.reclaim(first);
  assert.equal(check().size, 2, 'it is somebody’s');
});

test('it does what a map would do, at random', LIMIT, () => {
  const { space, check, home } = open();
  const next = random(1);
  const model: InUse = new Map();
  let most = 0;
  for (let turn = 0; turn < 30_000; turn++) {
    const isGrowing = turn % 6000 < 4000;
    const handles = [...model.keys()];
    const handle = handles[Math.floor(next() * handles.length)];
    const run = model.get(handle);
    if (run === undefined || next() < (isGrowing ? 0.45 : 0.2)) {
      const pages = Math.ceil(next() < 0.9 ? 20 * next() : 4000 * next() ** 4);
      most = Math.max(most, model.size);
      try {
        const made = fill(space, pages * PAGE_BYTES, turn);
        assert.ok(!model.has(made));
        model.set(made, { pages, owner: home.self() });
      } catch (error) {
        if (!(error instanceof OutOfMemoryError)) throw error;
        assert.ok(!checkFits(model, exchange.BYTES / PAGE_BYTES, pages), error.message);
      }
    } else if (run.owner === CHANNEL) {
      if (next() < 0.5) {
        space.take(handle);
        run.owner = home.self();
      } else {
        space.reclaim(handle);
        model.delete(handle);
      }
    } else {
      verify(space, handle);
      if (next() < 0.5) {
        space.keep(handle);
        run.owner = CHANNEL;
      } else {
        space.free(handle);
        model.delete(handle);
      }
    }
    if (turn % 50 === 0) assert.deepEqual(check(), new Map([...model].sort(([a], [b]) => a - b)));
  }
  assert.ok(most > 100);
  for (const handle of model.keys()) {
    space.keep(handle);
    space.reclaim(handle);
  }
  assert.equal(check().size, 0);
});

/** Is there a gap of so many pages between what is in use? */
function checkFits(inUse: InUse, all: number, pages: number): boolean {
  let end = 1;
  for (const [page, run] of [...inUse].sort(([a], [b]) => a - b)) {
    if (page - end >= pages) return true;
    end = page + run.pages;
  }
  return all + 1 - end >= pages;
}

test('freed memory goes back to the kernel', LIMIT, () => {
  const name = newName();
  const { space, check } = open(name);
  const touch = (handle: number) => space.at(handle, space.sizeOf(handle)).bytes.fill(1);
  const large = space.allocate(64 * MIB);
  touch(large);
  assert.ok(resident(name) >= 64 * MIB);
  space.free(large);
  assert.ok(resident(name) < MIB, `${resident(name)} bytes`);
  const small = Array.from({ length: 64 }, () => space.allocate(MIB));
  small.forEach(touch);
  assert.ok(resident(name) >= 64 * MIB);
  for (const handle of [...small.slice(1, 31), ...small.slice(32), small[31], small[0]]) {
    space.free(handle);
    check();
  }
  assert.ok(resident(name) < KEPT, `${resident(name)} bytes`);
});

test('an item of 1 GiB fits, opening such a memory costs nothing, and windows see all of it', {
  ...LIMIT,
  skip: memoryLimit() < 3 * GIB && 'too little memory',
}, () => {
  const name = newName();
  const before = process.memoryUsage().external;
  const { space, check } = open(name, 2 * GIB + 64 * MIB);
  assert.ok(process.memoryUsage().external - before < 16 * MIB, 'V8 would collect garbage for it');
  assert.ok(resident(name) < MIB);
  const handle = space.allocate(GIB);
  const { bytes } = space.at(handle, GIB);
  assert.equal(bytes.length, GIB);
  for (const i of [0, GIB / 2, GIB - 1]) bytes[i] = 7;
  assert.deepEqual([bytes[0], bytes[GIB / 2], bytes[GIB - 1]], [7, 7, 7]);
  const others = Array.from({ length: 40 }, (_, i) => space.allocate(5 * MIB + i * PAGE_BYTES));
  others.forEach((other, i) => {
    const view = space.at(other, space.sizeOf(other));
    view.words[0] = view.words[view.words.length - 1] = i;
  });
  others.forEach((other, i) => {
    const { words } = space.at(other, space.sizeOf(other));
    assert.deepEqual([words[0], words[words.length - 1]], [i, i]);
  });
  assert.equal(bytes[GIB - 1], 7);
  space.free(handle);
  for (const other of others) space.free(other);
  assert.equal(check().size, 0);
  assert.ok(resident(name) < KEPT);
});

test('memory that is used up is refused, with what to do about it', LIMIT, () => {
  const { space, check } = open();
  const half = space.allocate(exchange.BYTES / 2);
  assert.throws(() => space.allocate(exchange.BYTES + 1), {
    code: 'ERR_OUT_OF_MEMORY',
    message: /^Cannot allocate 128 MiB .* all that it may have is 128 MiB: put it in smaller pieces/,
  });
  assert.throws(() => space.allocate(exchange.BYTES), {
    message: /as 64 MiB of 128 MiB are in use: let some items be taken out first$/,
  });
  const rest = Array.from({ length: 4 }, () => space.allocate(exchange.BYTES / 8));
  space.free(rest[0]);
  space.free(rest[2]);
  assert.throws(() => space.allocate(exchange.BYTES / 4), {
    message: /as no free piece is as long, with 96 MiB of 128 MiB in use: let/,
  });
  space.free(rest[1]);
  space.free(space.allocate(exchange.BYTES / 4));
  space.free(half);
  space.free(rest[3]);
  assert.equal(check().size, 0);
  space.free(space.allocate(exchange.BYTES));
});

test('of blocks that were given back, nothing is taken for a block', LIMIT, () => {
  const { space, check } = open();
  const [first, second] = [space.allocate(2 * PAGE_BYTES), space.allocate(2 * PAGE_BYTES)];
  space.free(second);
  space.free(first);
  space.free(space.allocate(exchange.BYTES));
  assert.equal(check().size, 0);
  assert.equal(space.allocate(2 * PAGE_BYTES), first); // `second` begins right behind it
  assert.equal(check().size, 1);
});

test('room() is what is left of the limit, or half of what the machine has left', LIMIT, () => {
  const { home, space, turns } = open();
  assert.equal(space.room(), Math.min(exchange.BYTES, Math.floor(memoryAvailable() / 2)));
  const handle = space.allocate(50 * MIB);
  assert.equal(space.room(), exchange.BYTES - 50 * MIB);
  space.free(handle);
  assert.equal(space.room(), exchange.BYTES);
  const small = new NamedSpace(home, turns + exchange.WORDS, MIB);
  assert.equal(small.room(), MIB);
  const block = small.allocate(MIB);
  assert.equal(small.room(), 0);
  assert.throws(() => small.allocate(1), OutOfMemoryError);
  small.free(block);
});

test('who has closed the name is told so', LIMIT, () => {
  const { space, close } = open();
  const handle = space.allocate(1);
  close();
  for (const act of [
    () => space.allocate(1),
    () => space.free(handle),
    () => space.keep(handle),
    () => space.at(handle, 1),
  ])
    assert.throws(act, ClosedError);
});

test('a process that may not have such files is told so', LIMIT, () => {
  const script = `
    const { open } = require(${JSON.stringify(path.join(__dirname, 'testing', 'named-space.js'))});
    try { open(${JSON.stringify(newName())}); } catch (error) { console.log(error.code, error.message); }`;
  const { stdout, stderr } = spawnSync(
    'sh',
    ['-c', 'ulimit -f 20000; exec "$@"', 'sh', process.execPath, '--eval', script],
    { encoding: 'utf8' },
  );
  assert.match(
    stdout,
    /^ERR_OUT_OF_MEMORY Cannot reserve 12\d\.\d MiB of address space for the test ".*": raise the limits/,
    stderr,
  );
});

test('what a program had comes back when it ends, and what it gave to the channel stays', LIMIT, async () => {
  const name = newName();
  const { space, check, home } = open(name);
  const learnOfDeaths = () => {
    home.parkSync(0, home.words[0], { timeout: 1 });
    space.free(space.allocate(1));
  };
  const runShort = () => assert.throws(() => space.allocate(exchange.BYTES), OutOfMemoryError);
  for (const [how, notice] of [
    ['exit', learnOfDeaths],
    ['kill', learnOfDeaths],
    ['kill', runShort],
  ] as const) {
    const peer = start({ act: 'allocate', name, seed: 3, sizes: [10_000, 2 * MIB, 9 * MIB] });
    const [kept, ...lost] = ((await once(peer, 'message')) as [number[]])[0];
    assert.deepEqual(new Set(check().keys()), new Set([kept, ...lost]));
    if (how === 'exit') {
      const ended = once(peer, 'exit');
      peer.disconnect();
      await ended;
      peers.splice(peers.indexOf(peer), 1);
    } else await kill(peer);
    await waitUntil(() => {
      notice();
      return check().size === 1;
    }, 'its memory to come back');
    verify(space, kept);
    space.reclaim(kept);
    assert.equal(check().size, 0);
  }
});

test('programs that are killed at random leave the memory in order, and lose what they had at most', {
  timeout: 150_000,
}, async () => {
  const name = newName();
  const { home, space, check, turns, slots } = open(name);
  const { words } = home;
  const kills = Number(process.env.MANYHANDS_KILLS ?? 8);
  let seed = 0;
  const begin = () => start({ act: 'hammer', name, seed: ++seed, sizes: [] });
  const crowd = [begin(), begin(), begin()];
  for (let i = 0; i < kills; i++) {
    const next = begin();
    const before = Atomics.load(words, turns);
    // Until some were at it since, the new one maybe among them.
    for (let now = before; now - before < 100 + (i % 7) * 50; now = Atomics.load(words, turns)) {
      const { outcome } = await home.park(turns, now, { timeout: 20_000 });
      assert.notEqual(outcome, 'timeout', `after ${i} kills`);
    }
    const [victim] = crowd.splice(i % crowd.length, 1);
    await kill(victim);
    peers.splice(peers.indexOf(victim), 1);
    crowd.push(next);
  }
  for (const peer of crowd) await kill(peer);
  await waitUntil(() => {
    assert.throws(() => space.allocate(exchange.BYTES * 2), OutOfMemoryError);
    return [...check().values()].every(({ owner }) => owner === CHANNEL);
  }, 'what dead ones had to come back');
  const left = new Set(check().keys());
  for (let slot = slots; slot < slots + exchange.SLOTS; slot++)
    if (words[slot] !== 0) assert.ok(left.delete(words[slot]), `what slot ${slot - slots} names is gone`);
  assert.ok(left.size <= kills + crowd.length, `${left.size} blocks are the channel's and in no slot`);
  for (const handle of check().keys()) {
    verify(space, handle);
    space.reclaim(handle);
  }
  assert.equal(check().size, 0);
  assert.ok(resident(name) < KEPT, `${resident(name)} bytes`);
});

/* ── death at every step ── */

class Death extends Error {}

/** A name whose users are all in this thread, one at a time, and die at the step they are told to. */
class Stage {
  static readonly PAGES = 12_000;
  static readonly AT = 64;
  readonly real = new Int32Array(Stage.AT + NamedSpace.wordsFor(Stage.PAGES * PAGE_BYTES));
  readonly words: Int32Array = new Proxy(this.real, {
    get: (target, key) => {
      if (key === 'fill') return this.#fill;
      const value = Reflect.get(target, key);
      return typeof value === 'function' ? value.bind(target) : value;
    },
    set: (target, key, value) => {
      this.step();
      return Reflect.set(target, key, value);
    },
  });
  readonly #fill = (value: number, from: number, to: number) => {
    this.step();
    const half = Math.floor((from + to) / 2);
    this.real.fill(value, from, half);
    this.step();
    this.real.fill(value, half, to);
  };
  readonly extent = {
    bytes: Stage.PAGES * PAGE_BYTES,
    map: () => assert.fail(),
    punch: (offset: number, bytes: number) => {
      this.step();
      const { pages, owner } = this.#runAt(offset / PAGE_BYTES + 1);
      assert.deepEqual([pages * PAGE_BYTES, owner], [bytes, this.me], 'it may be somebody’s by now');
    },
  };
  me = 1;
  readonly dead = new Set<number>();
  /** Steps that are left to who is at it. */
  left = Number.POSITIVE_INFINITY;

  readonly self = () => this.me;
  readonly isKnownDead = (tag: number) => this.dead.has(tag);

  step(): void {
    if (this.left-- <= 0) throw new Death();
  }

  lock(word: number, recover: () => void): void {
    this.step();
    const holder = this.real[word];
    assert.ok(holder === 0 || this.dead.has(holder), 'deadlock');
    this.real[word] = this.me;
    if (holder !== 0) recover();
  }

  unlock(word: number): void {
    this.step();
    this.real[word] = 0;
  }

  #runAt(page: number): { pages: number; owner: number } {
    const record = Stage.AT + TABLE + (page - 1) * RECORD_WORDS;
    const head = this.real[record + RECORD.HEAD];
    assert.equal(head >>> KIND_BIT, KIND.USED);
    return { pages: head & COUNT_MASK, owner: this.real[record + RECORD.OWNER] };
  }

  space(): NamedSpace {
    return new NamedSpace(this as unknown as Home, Stage.AT, this.extent.bytes);
  }

  check(): InUse {
    return checkRuns(this.real, Stage.AT, Stage.PAGES);
  }

  /** Runs `act` as the thread `me`, which dies after so many steps. Has it lived to the end? */
  play(me: number, steps: number, act: (space: NamedSpace) => void): boolean {
    const { load, store, compareExchange } = Atomics;
    const stepping = (original: unknown) => {
      const act = original as (words: Int32Array, ...args: number[]) => number;
      return (words: Int32Array, ...args: number[]) => {
        if (words !== this.words) return act(words, ...args);
        this.step();
        return act(this.real, ...args);
      };
    };
    Object.assign(Atomics, {
      load: stepping(load),
      store: stepping(store),
      compareExchange: stepping(compareExchange),
    });
    this.me = me;
    this.left = steps;
    try {
      act(this.space());
      return true;
    } catch (error) {
      if (!(error instanceof Death)) throw error;
      this.dead.add(me);
      return false;
    } finally {
      this.left = Number.POSITIVE_INFINITY;
      Object.assign(Atomics, { load, store, compareExchange });
    }
  }
}

const LENGTHS = [1, 1, 2, 3, 20, 700, 1900, 2100];
const [FRIEND, VICTIM, HELPER, LAST] = [1, 2, 3, 4];

/** Some blocks of the friend, the victim and the channel, between free runs of both kinds. */
function prepare(stage: Stage, next: () => number): void {
  for (let turn = 0; turn < 30; turn++) {
    const who = next() < 0.5 ? FRIEND : VICTIM;
    const own = [...stage.check()].filter(([, { owner }]) => owner === who).map(([page]) => page);
    const handle = own[Math.floor(next() * own.length)];
    stage.play(who, Number.POSITIVE_INFINITY, space => {
      if (handle === undefined || next() < 0.55)
        tryAllocate(space, LENGTHS[Math.floor(next() * LENGTHS.length)]);
      else if (next() < 0.5) space.keep(handle);
      else space.free(handle);
    });
  }
}

function tryAllocate(space: NamedSpace, pages: number): void {
  try {
    space.allocate(pages * PAGE_BYTES);
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
  }
}

function exhaust(space: NamedSpace): void {
  assert.throws(
    () => space.allocate(Stage.PAGES * PAGE_BYTES),
    (error: Error) => {
      if (error instanceof Death) throw error;
      return error instanceof OutOfMemoryError;
    },
  );
}

test('who dies at any step, and whoever dies in clearing up after that, loses its own and no more', {
  timeout: 150_000,
}, () => {
  const stage = new Stage();
  const next = random(5);
  const runs = { victims: 0, helpers: 0 };
  for (let scene = 0; scene < 60; scene++) {
    stage.real.fill(0);
    stage.dead.clear();
    prepare(stage, next);
    const scenery = stage.real.slice();
    const before = stage.check();
    const of = (who: number) => [...before].filter(([, { owner }]) => owner === who).map(([page]) => page);
    const [own, channels] = [of(VICTIM), of(CHANNEL)];
    const pick = (pages: number[]) => pages[Math.floor(next() * pages.length)];
    const [mine, theirs] = [pick(own), pick(channels)];
    const pages = LENGTHS[Math.floor(next() * LENGTHS.length)];
    const left = [...before.values()].reduce((sum, run) => sum - run.pages, Stage.PAGES);
    /** What is done, and to which block, of which either owner is right then. */
    const acts: [act: (space: NamedSpace) => void, hand: number | undefined][] = [
      [space => tryAllocate(space, pages), undefined],
      [
        space => {
          for (const page of own) space.free(page);
        },
        undefined,
      ],
      [exhaust, undefined],
      [space => tryAllocate(space, left), undefined], // after all, gives dirty pages to the kernel
    ];
    if (mine !== undefined) acts.push([space => space.keep(mine), mine]);
    if (theirs !== undefined) acts.push([space => space.take(theirs), theirs]);
    if (theirs !== undefined) acts.push([space => space.reclaim(theirs), theirs]);
    for (const [act, hand] of acts) {
      for (let steps = 0, lived = false; !lived; steps++) {
        for (let again = 0; again < 3; again++) {
          stage.real.set(scenery);
          stage.dead.clear();
          lived = stage.play(VICTIM, steps, act);
          stage.dead.add(VICTIM);
          runs.victims++;
          const help = again === 1 ? exhaust : (space: NamedSpace) => tryAllocate(space, left);
          if (again > 0 && !stage.play(HELPER, Math.floor(next() ** 2 * 300), help)) runs.helpers++;
          stage.dead.add(HELPER);
          assert.ok(stage.play(LAST, Number.POSITIVE_INFINITY, exhaust));
          const after = stage.check();
          for (const [page, { pages, owner }] of before) {
            const found = after.get(page);
            if (page === hand && found === undefined) continue;
            if (owner === VICTIM && page !== hand) assert.equal(found, undefined);
            else assert.deepEqual(found, { pages, owner: page === hand ? CHANNEL : owner });
            after.delete(page);
          }
          assert.deepEqual(after, new Map(), 'what was nobody’s before');
        }
      }
    }
  }
  assert.ok(runs.helpers > 1000, JSON.stringify(runs));
});
