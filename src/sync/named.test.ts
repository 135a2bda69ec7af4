import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterEach, test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { ClosedError, NameInUseError, TimeoutError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { leavesNothing } from '../testing/leaks.js';
import { isOpenAnywhere, state, waitUntil } from '../testing/processes.js';
import { Program } from '../testing/programs.js';
import { holding, openDoorbell } from '../wait/doorbell.js';
import type { Parked } from '../wait/parking.js';
import { type Named, openNamed } from './named.js';
import { HEADER, MEMBER, MEMBER_STATE, MEMBER_WORDS, MEMBERS, NODE, NODES } from './named-layout.js';
import type { TestLock } from './testing/named-lock.js';
import type { Act } from './testing/named-peer.js';

leavesNothing({ warm: openDoorbell });

const LIMIT = { timeout: 30_000 };
const PEER = path.join(__dirname, 'testing', 'named-peer.js');
const WORDS = 16;

let names = 0;
function newName(): string {
  return `test ${process.pid}/${++names}`;
}

function open(name: string, init: (words: Int32Array, at: number) => void = () => {}): Named {
  const named = openNamed('test', name, WORDS, init);
  closing.push(named);
  return named;
}

const closing: Named[] = [];
const peers: Program[] = [];
afterEach(async () => {
  for (const named of closing.splice(0)) named.close();
  for (const peer of peers.splice(0)) await peer.kill();
});

/** An unrelated program. */
function startPeer(): Program<Act> {
  const peer = new Program<Act>(PEER);
  peers.push(peer);
  return peer;
}

/** Waits until so many stand in line at the object's word `i`. */
async function inLine({ home, at }: Named, i: number, count: number): Promise<void> {
  await waitUntil(() => home.waiting(at + i).length === count, `${count} to be in line`);
}

function isAnywhere(name: string): boolean {
  return isOpenAnywhere(`:${name}`);
}

test('a name means the same words wherever it is opened in a thread, until all have closed it', LIMIT, () => {
  const name = newName();
  const [first, second] = [open(name, (words, at) => words.fill(7, at, at + WORDS)), open(name)];
  assert.equal(first.at % 16, 0);
  assert.equal(second.home, first.home);
  assert.equal(second.home.words[second.at + WORDS - 1], 7);
  first.close();
  first.close();
  assert.equal(second.home.self(), second.home.self());
  second.close();
  assert.throws(() => second.home.self(), ClosedError);
  assert.equal(isAnywhere(name), false);
  const third = open(name);
  assert.equal(third.home.words[third.at], 0, 'it is a new one');
});

test('threads of a process share it', LIMIT, async context => {
  const name = newName();
  const { home, at } = open(name);
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     const { openNamed } = require(workerData.module);
     const { home, at } = openNamed('test', workerData.name, ${WORDS}, () => { throw new Error('made twice'); });
     Atomics.store(home.words, at, 5);
     home.wake(at, 1);
     home.park(at + 2, 0, {});
     home.park(at + 1, 0, {});`,
    { eval: true, workerData: { module: path.join(__dirname, 'named.js'), name } },
  );
  context.after(() => worker.terminate());
  const failed = once(worker, 'error').then(([error]) => {
    throw error;
  });
  while (Atomics.load(home.words, at) === 0) await Promise.race([home.park(at, 0, {}), failed]);
  assert.equal(home.words[at], 5);
  await waitUntil(() => home.wake(at + 1, 1) === 1, 'the other thread to wait');
  const [{ tag }] = home.waiting(at + 2);
  const next = home.park(at + 2, 0, {});
  await worker.terminate();
  await waitUntil(() => home.isKnownDead(tag), 'the end of the thread to be noticed');
  assert.equal(home.wake(at + 2, 1), 1);
  assert.equal((await next).outcome, 'woken');
  failed.catch(() => {});
});

test('unrelated programs see each other’s words', LIMIT, async () => {
  const name = newName();
  const { home, at } = open(name, (words, at) => {
    words[at + 15] = -1;
  });
  const peer = startPeer();
  const { tag, maker } = await peer.call<{ tag: number; maker: number }>('open', name);
  assert.equal(maker, -1);
  assert.notEqual(tag, home.self());
  Atomics.store(home.words, at + 1, 11);
  assert.equal(await peer.call('load', name, 1), 11);
  await peer.call('store', name, 2, 12);
  assert.equal(Atomics.load(home.words, at + 2), 12);
});

for (const form of ['park', 'parkSync'] as const) {
  test(`${form}() is woken from another program, either way`, LIMIT, async () => {
    const name = newName();
    const named = open(name);
    const { home, at } = named;
    const peer = startPeer();
    await peer.call('open', name);
    for (let i = 0; i < 50; i++) {
      const parked = peer.call<Parked>(form, name, 0, 0);
      await inLine(named, 0, 1);
      assert.equal(home.wake(at, 1, { token: i }), 1);
      assert.deepEqual(await parked, { outcome: 'woken', token: i });
    }
    for (let i = 0; i < 50; i++) {
      const woken = form === 'park' ? home.park(at, 0, {}) : undefined;
      const call = peer.call('wake', name, 0, 1); // parkSync: it may come before the wait, then nobody is woken
      if (woken) assert.equal((await woken).outcome, 'woken');
      else home.parkSync(at, 0, { timeout: 5 });
      await call;
    }
  });

  test(`${form}(): one that gives up costs nobody a wake`, LIMIT, async () => {
    const name = newName();
    const named = open(name);
    const peer = startPeer();
    await peer.call('open', name);
    assert.deepEqual(await peer.call<Parked>(form, name, 0, 1), { outcome: 'changed', token: 0 });
    assert.deepEqual(await peer.call<Parked>(form, name, 0, 0, 0), { outcome: 'timeout', token: 0 });
    const impatient = peer.call<Parked>(form, name, 0, 0, 20);
    await inLine(named, 0, 1);
    const next = named.home.park(named.at, 0, {});
    assert.equal((await impatient).outcome, 'timeout');
    assert.equal(named.home.wake(named.at, 1), 1);
    assert.equal((await next).outcome, 'woken');
  });

  test(`${form}(): a killed waiter leaves the line`, LIMIT, async () => {
    const name = newName();
    const named = open(name);
    const { home, at } = named;
    const peer = startPeer();
    await peer.call('open', name);
    void peer.call(form, name, 0, 0);
    await inLine(named, 0, 1);
    const next = home.park(at, 0, {});
    await peer.kill();
    await inLine(named, 0, 1);
    assert.equal(home.wake(at, 1), 1);
    assert.equal((await next).outcome, 'woken');
    assert.equal(home.waiting(at).length, 0);
  });

  test(
    `${form}(): a wake that a killed one did not see goes to the next, unless told not to`,
    LIMIT,
    async () => {
      const name = newName();
      const named = open(name);
      const { home, at } = named;
      for (const passOn of [true, false]) {
        const peer = startPeer();
        await peer.call('open', name);
        void peer.call(form, name, 0, 0);
        await inLine(named, 0, 1);
        const next = home.park(at, 0, {});
        const witness = home.park(at + 1, 0, { recheck: () => false }); // ends with somebody's death
        peer.child.kill('SIGSTOP');
        assert.equal(home.wake(at, 1, { token: 9, passOn }), 1);
        await peer.kill();
        if (passOn) assert.deepEqual(await next, { outcome: 'woken', token: 9 });
        assert.equal((await witness).outcome, 'changed');
        assert.equal(home.waiting(at).length, passOn ? 0 : 1);
        home.wake(at, 1);
        await next;
      }
    },
  );
}

test('who waits is woken in order of arrival, whatever program it is of', LIMIT, async () => {
  const name = newName();
  const named = open(name);
  const { home, at } = named;
  const others = [startPeer(), startPeer(), startPeer()];
  for (const other of others) await other.call('open', name);
  const order: number[] = [];
  const waits: Promise<unknown>[] = [];
  const ways = [
    () => others[0].call('park', name, 0, 0),
    () => home.park(at, 0, {}),
    () => others[0].call('park', name, 0, 0),
    () => others[1].call('parkSync', name, 0, 0),
    () => home.park(at, 0, {}),
    () => others[2].call('parkSync', name, 0, 0),
  ];
  for (const [i, way] of ways.entries()) {
    waits.push(way().then(() => order.push(i)));
    await inLine(named, 0, i + 1);
  }
  waits.push(home.park(at, 0, { first: true, note: [1, 2, 3] }).then(() => order.push(-1)));
  assert.deepEqual(home.waiting(at)[0].note, [1, 2, 3]);
  for (let i = 0; i < 7; i++) {
    assert.equal(home.wake(at, 1), 1);
    await waitUntil(() => order.length === i + 1, `wake ${i}`);
  }
  await Promise.all(waits);
  assert.deepEqual(order, [-1, 0, 1, 2, 3, 4, 5]);
});

test('choose() and settle() work as in the commons', LIMIT, async () => {
  const { home, at } = open(newName());
  const waits = [1, 2, 3].map(n => home.park(at, 0, { note: [n] }));
  let settled: unknown;
  const woken = home.wake(at, 1, {
    token: 4,
    choose: ({ note }) => note[0] === 2,
    settle: (chosen, more) => {
      settled = [chosen.map(({ tag, note }) => [tag, note[0]]), more];
    },
  });
  assert.equal(woken, 1);
  assert.deepEqual(settled, [[[home.self(), 2]], true]);
  assert.deepEqual(await waits[1], { outcome: 'woken', token: 4 });
  assert.equal(home.wake(at, Number.POSITIVE_INFINITY), 2);
  await Promise.all(waits);
});

test('an aborted wait rejects with the reason; a wake that came before counts', LIMIT, async () => {
  const { home, at } = open(newName());
  const early = new AbortController();
  const late = new AbortController();
  const aborted = home.park(at, 0, { signal: early.signal });
  const woken = home.park(at, 0, { signal: late.signal });
  early.abort(new Error('enough'));
  await assert.rejects(aborted, { message: 'enough' });
  assert.equal(home.wake(at, 1), 1);
  late.abort();
  assert.equal((await woken).outcome, 'woken');
});

test('closing ends the waits of this thread with ClosedError', LIMIT, async () => {
  const named = open(newName());
  const wait = named.home.park(named.at, 0, {});
  named.close();
  await assert.rejects(wait, ClosedError);
});

test('a watch is notified from another program, by a death there, and by close()', LIMIT, async () => {
  const name = newName();
  const named = open(name);
  const { home, at } = named;
  const peer = startPeer();
  peers.push(peer);
  await peer.call('open', name);
  let isWorthwhile = true;
  const watched = () => {
    const watcher = { isWorthwhile: () => isWorthwhile, notify: () => {} };
    const notified = new Promise<void>(resolve => {
      watcher.notify = resolve;
    });
    assert.ok(home.watch(at, 0, watcher));
    return notified;
  };
  const first = watched();
  assert.equal(await peer.call('wake', name, 0, 1), 1);
  await holding(first);
  const second = watched();
  isWorthwhile = false;
  await peer.kill();
  await holding(second);
  isWorthwhile = true;
  const third = watched();
  named.close();
  await third;
});

test('1,000 waits end in order', LIMIT, async () => {
  const { home, at } = open(newName());
  const order: number[] = [];
  const waits = Array.from({ length: 1000 }, (_, i) => home.park(at, 0, {}).then(() => order.push(i)));
  assert.equal(home.wake(at, 400), 400);
  assert.equal(home.wake(at, Number.POSITIVE_INFINITY), 600);
  await Promise.all(waits);
  assert.deepEqual(order, [...Array(1000).keys()]);
  home.wake(at, 1);
  assert.equal(home.words[HEADER.HIGH], 0);
});

for (const form of ['park', 'parkSync'] as const) {
  test(`${form}(): who waits for a killed owner hears of its death soon`, LIMIT, async () => {
    const name = newName();
    const named = open(name);
    const { home, at } = named;
    const owner = startPeer();
    const { tag } = await owner.call<{ tag: number }>('open', name);
    Atomics.store(home.words, at, tag);
    const recheck = () => !home.isKnownDead(tag);
    if (form === 'park') {
      const wait = home.park(at, tag, { recheck });
      const ended = once(owner.child, 'exit');
      owner.child.kill('SIGKILL');
      assert.equal((await wait).outcome, 'changed');
      await ended;
    } else {
      owner.child.kill('SIGKILL');
      assert.equal(home.parkSync(at, tag, { recheck, timeout: 10_000 }).outcome, 'changed');
    }
    assert.equal(home.isKnownDead(tag), true);
  });
}

test('one that only tries hears of a death as well', LIMIT, async () => {
  const name = newName();
  const { home } = open(name);
  const owner = startPeer();
  const { tag } = await owner.call<{ tag: number }>('open', name);
  assert.equal(home.isKnownDead(tag), false);
  await owner.kill();
  await waitUntil(() => home.isKnownDead(tag), 'the death to be noticed');
});

test('another thread that has got the number of one that died is not taken for it', LIMIT, async () => {
  const name = newName();
  const { home } = open(name);
  const peer = startPeer();
  const { tag } = await peer.call<{ tag: number }>('open', name);
  home.words[MEMBERS + (tag & 1023) * MEMBER_WORDS + MEMBER.START_LOW]--; // as if it had started later
  await waitUntil(() => home.isKnownDead(tag), 'the death to be noticed');
});

test('the orderly end of a thread, or its close(), is to others as a death', LIMIT, async () => {
  const name = newName();
  const named = open(name);
  const { home, at } = named;
  for (const way of ['depart', 'close'] as const) {
    const owner = startPeer();
    const { tag } = await owner.call<{ tag: number }>('open', name);
    void owner.call('park', name, 1, 0).catch(() => {}); // it has ended there
    await inLine(named, 1, 1);
    const wait = home.park(at, 0, { recheck: () => !home.isKnownDead(tag) });
    await owner.call(way, name);
    assert.equal((await wait).outcome, 'changed');
    assert.deepEqual(home.waiting(at + 1), []);
    if (way === 'depart') assert.notEqual(await owner.call('self', name), tag, 'who goes on joins anew');
  }
});

test('locks that dead members hold are taken over', LIMIT, async () => {
  const name = newName();
  const { home, at } = open(name);
  const peer = startPeer();
  const { tag } = await peer.call<{ tag: number }>('open', name);
  await peer.call('lock', name, 3);
  await peer.kill();
  let recovered = 0;
  home.lock(at + 3, () => recovered++);
  home.unlock(at + 3);
  assert.equal(recovered, 1);
  Atomics.store(home.words, HEADER.LOCK, tag); // as if it had died in the middle of a wake
  const wait = home.park(at, 0, {});
  assert.equal(home.wake(at, 1), 1);
  assert.equal((await wait).outcome, 'woken');
});

test('a waker that died before it rang: who was woken finds out', LIMIT, async () => {
  const { home, at } = open(newName());
  const wait = home.park(at, 0, {});
  Atomics.store(home.words, NODES + NODE.STATE, 2);
  assert.equal((await wait).outcome, 'woken');
  assert.equal(home.words[at], 0);
});

test('a member record is used again, with another tag', LIMIT, async () => {
  const name = newName();
  const peer = startPeer();
  await peer.call('open', name);
  const tags = new Set<number>();
  for (let i = 0; i < 100; i++) {
    const { home, close } = open(name);
    tags.add(home.self());
    assert.equal(home.words[HEADER.MEMBERS_USED], 3);
    close();
    assert.equal(home.words[MEMBERS + 2 * MEMBER_WORDS + MEMBER.STATE] & 3, MEMBER_STATE.FREE);
  }
  assert.equal(tags.size, 100);
});

test('20 programs that open a fresh name at once make it once', LIMIT, async () => {
  const name = newName();
  const crowd = Array.from({ length: 20 }, () => startPeer());
  const opened = await Promise.all(
    crowd.map(peer => peer.call<{ tag: number; maker: number }>('open', name)),
  );
  assert.equal(new Set(opened.map(({ maker }) => maker)).size, 1);
  assert.equal(new Set(opened.map(({ tag }) => tag)).size, 20);
});

test(
  'the memory is there for as long as anyone has it, and then gone, also when all are killed',
  LIMIT,
  async () => {
    const name = newName();
    const [first, second] = [startPeer(), startPeer()];
    const { maker } = await first.call<{ maker: number }>('open', name);
    assert.equal(maker, first.child.pid);
    await second.call('open', name);
    await first.kill();
    const third = startPeer();
    assert.equal((await third.call<{ maker: number }>('open', name)).maker, maker);
    assert.equal(isAnywhere(name), true);
    await second.kill();
    await third.kill();
    assert.equal(isAnywhere(name), false);
    assert.deepEqual(
      readdirSync('/dev/shm').filter(file => file.includes('manyhands')),
      [],
    );
    const last = startPeer();
    assert.equal((await last.call<{ maker: number }>('open', name)).maker, last.child.pid);
  },
);

test('one that dies while it opens a name holds up nobody', LIMIT, async () => {
  const name = newName();
  const script = `
    const { openNamed } = require(${JSON.stringify(path.join(__dirname, 'named.js'))});
    openNamed('test', ${JSON.stringify(name)}, ${WORDS}, () => { console.log('in'); for (;;); });`;
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  await once(child.stdout, 'data');
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  let made = false;
  open(name, () => {
    made = true;
  });
  assert.equal(made, true);
  await ended;
});

test('a worker that is terminated while it opens a name holds up nobody', LIMIT, async () => {
  const name = newName();
  const worker = new Worker(
    `const { workerData, parentPort } = require('node:worker_threads');
     const { openNamed } = require(workerData.module);
     openNamed('test', workerData.name, ${WORDS}, () => { parentPort.postMessage('in'); for (;;); });`,
    { eval: true, workerData: { module: path.join(__dirname, 'named.js'), name } },
  );
  await once(worker, 'message');
  await worker.terminate();
  open(name, (words, at) => {
    words[at] = 3;
  });
  assert.equal(isAnywhere(name), true);
});

test('what init() throws is thrown, and nothing is left', LIMIT, () => {
  const name = newName();
  const failing = () => {
    throw new Error('not so');
  };
  assert.throws(() => open(name, failing), { message: 'not so' });
  assert.equal(isAnywhere(name), false);
  open(name);
});

test('a name that is none is refused', () => {
  for (const name of [undefined, 5, {}]) assert.throws(() => open(name as unknown as string), TypeError);
  for (const name of ['', 'a\0b', '\ud800', 'é'.repeat(101)]) assert.throws(() => open(name), RangeError);
  const longest = `${newName()}${'x'.repeat(200)}`.slice(0, 200);
  open(longest);
  assert.equal(isAnywhere(longest), true);
  open('/a: b\n(deleted) ');
});

test('a name of another kind of object is refused, here and over there', LIMIT, async () => {
  const name = newName();
  open(name);
  const expected = /^Cannot open the other ".*" as this thread has a test of that name: take another name/;
  assert.throws(
    () => openNamed('other', name, WORDS, () => {}),
    (error: Error) => error instanceof NameInUseError && expected.test(error.message),
  );
  const peer = startPeer();
  await assert.rejects(
    peer.call('open', name, 'other'),
    new RegExp(
      `NameInUseError: Cannot open the other ".*" as process ${process.pid} has a test of that name`,
    ),
  );
});

test('memory of another version is refused', LIMIT, async () => {
  const name = newName();
  const { home } = open(name);
  const peer = startPeer();
  const refused =
    /NameInUseError: Cannot open the test .* is of another version of manyhands: use one version/;
  for (const word of [HEADER.MAGIC, HEADER.VERSION, HEADER.WORDS]) {
    home.words[word]++;
    await assert.rejects(peer.call('open', name), refused);
    home.words[word]--;
  }
  assert.throws(() => native.memoryMap(0, 4096), { code: 'EINVAL' });
  await peer.call('open', name);
});

test('an address that a process of another user holds is refused', {
  ...LIMIT,
  skip: process.geteuid?.() !== 0 && 'only root can be another user',
}, async () => {
  const name = newName();
  const { close } = open(name);
  const sign = /@(manyhands\/0\/\d+\/\w+)\/\d+\/\d+$/m.exec(readFileSync('/proc/net/unix', 'latin1'))?.[1];
  close();
  const script = `
    const { native } = require(${JSON.stringify(require.resolve('../native/native.js'))});
    process.setuid(65534);
    native.nameBind('${sign}/open');
    console.log('in');
    setInterval(() => {}, 1e6);`;
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  try {
    await once(child.stdout, 'data');
    assert.throws(
      () => open(name),
      (error: Error) =>
        error instanceof NameInUseError &&
        error.message.includes(`as process ${child.pid} of user 65534 holds its address`),
    );
  } finally {
    child.kill();
    await ended;
  }
});

test('a process of this user that has the name, but cannot be looked into, is told of', {
  ...LIMIT,
  skip: process.geteuid?.() !== 0 && 'only root can give up rights',
}, async () => {
  // A process that gave up rights while it ran may hold secrets of before: others of its user cannot look into it.
  const script = `
    const { openNamed } = require(${JSON.stringify(path.join(__dirname, 'named.js'))});
    process.setgid(65534);
    process.setuid(65534);
    try {
      openNamed('test', ${JSON.stringify(newName())}, ${WORDS}, () => {});
      console.log('in');
    } catch (error) {
      console.log(error.name + ': ' + error.message);
    }
    setInterval(() => {}, 1e6);`;
  const children = [1, 2].map(() =>
    spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] }),
  );
  const ended = Promise.all(children.map(child => once(child, 'exit')));
  try {
    const said = await Promise.all(
      children.map(async ({ stdout }) => String((await once(stdout, 'data'))[0])),
    );
    const refusal =
      /^NameInUseError: Cannot open the test .* as process \d+, which has it, may not be looked/;
    assert.equal(said.filter(line => line === 'in\n').length, 1, said.join());
    assert.equal(said.filter(line => refusal.test(line)).length, 1, said.join());
  } finally {
    for (const child of children) child.kill();
    await ended;
  }
});

test('one that was stopped while it opens a name is told of', LIMIT, async () => {
  const name = newName();
  const script = `
    const { openNamed } = require(${JSON.stringify(path.join(__dirname, 'named.js'))});
    openNamed('test', ${JSON.stringify(name)}, ${WORDS}, () => process.kill(process.pid, 'SIGSTOP'));`;
  const child = spawn(process.execPath, ['--eval', script], { stdio: ['ignore', 'ignore', 'inherit'] });
  const ended = once(child, 'exit');
  await waitUntil(() => state(child.pid as number) === 'T', 'it to be stopped');
  try {
    assert.throws(
      () => open(name),
      (error: Error) =>
        error instanceof TimeoutError && error.message.includes(`process ${child.pid} has been opening`),
    );
  } finally {
    child.kill('SIGKILL');
    await ended;
  }
});

test('programs that are killed at random leave a lock in order, and nobody stuck', {
  timeout: 150_000,
}, async () => {
  const name = newName();
  const named = open(name);
  const { home, at } = named;
  const lock: TestLock = { lock: 0, inside: 1, plain: 2, atomic: 3, faults: 4, takeovers: 5 };
  const kills = Number(process.env.MANYHANDS_KILLS ?? 8);
  const start = async () => {
    const peer = startPeer();
    await peer.call('open', name);
    void peer.call('hammer', name, lock);
    return peer;
  };
  const crowd = await Promise.all([start(), start(), start()]);
  for (let i = 0; i < kills; i++) {
    const next = start();
    const before = Atomics.load(home.words, at + lock.atomic);
    for (let now = before; now <= before + (i % 7); now = Atomics.load(home.words, at + lock.atomic)) {
      const { outcome } = await home.park(at + lock.atomic, now, { timeout: 20_000 });
      assert.notEqual(outcome, 'timeout', `after ${i} kills`);
    }
    const [victim] = crowd.splice(i % crowd.length, 1);
    await victim.kill();
    peers.splice(peers.indexOf(victim), 1);
    crowd.push(await next);
  }
  for (const peer of crowd) await peer.kill();
  const { words } = home;
  assert.equal(words[at + lock.faults], 0);
  assert.ok(words[at + lock.atomic] > kills);
  assert.ok(Math.abs(words[at + lock.plain] - words[at + lock.atomic]) <= words[at + lock.takeovers] + 3);
  const me = home.self();
  await waitUntil(() => home.words[HEADER.DEATHS] >= 3 && aliveBut(named, me) === 0, 'deaths to be seen');
  assert.deepEqual(home.waiting(at), []);
  home.wake(at, 1);
  await home.park(at, words[at], { timeout: 5 });
  home.wake(at, 1);
  assert.equal(words[HEADER.HIGH], 0);
  assert.equal(words[HEADER.LOCK], 0);
});

/** How many others are members, as far as is known; has them looked at. */
function aliveBut({ home }: Named, me: number): number {
  let live = 0;
  for (let index = 1; index < home.words[HEADER.MEMBERS_USED]; index++) {
    const word = home.words[MEMBERS + index * MEMBER_WORDS + MEMBER.STATE];
    const tag = ((word >>> 2) << 10) | index;
    if ((word & 3) === MEMBER_STATE.LIVE && tag !== me && !home.isKnownDead(tag)) live++;
  }
  return live;
}
