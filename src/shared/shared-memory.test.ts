import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { afterEach, describe, test } from 'node:test';
import { inspect } from 'node:util';
import { Queue } from '../channel/queue.js';
import { ClosedError, NameInUseError, NameNotFoundError } from '../errors/errors.js';
import { carriers } from '../testing/carriers.js';
import { collect } from '../testing/collect.js';
import { leavesNoBlocks } from '../testing/commons.js';
import { leavesNothing } from '../testing/leaks.js';
import { allProcesses, waitGone, waitUntil } from '../testing/processes.js';
import { Program } from '../testing/programs.js';
import { warmCarriers } from '../testing/sharing.js';
import { SharedMemory } from './shared-memory.js';
import type { MemoryAct } from './testing/memory-peer.js';
import { hasPython, python } from './testing/python.js';

leavesNothing({
  async warm() {
    await warmCarriers();
    new SharedMemory({ create: true, size: 1 })[Symbol.dispose](); // the janitor stays
  },
});
leavesNoBlocks();

const LIMIT = { timeout: 60_000 };
const PEER = path.join(__dirname, 'testing', 'memory-peer.js');

let names = 0;
function newName(): string {
  return `manyhands-test-${process.pid}-${++names}`;
}

function isThere(name: string): boolean {
  return existsSync(`/dev/shm/${name}`);
}

/** In how many places of this process a block is mapped. */
function mappings(name: string): number {
  const { ino } = statSync(`/dev/shm/${name}`);
  return readFileSync('/proc/self/maps', 'utf8').split(` ${ino} `).length - 1;
}

const peers: Program[] = [];
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.kill();
});

function startPeer(): Program<MemoryAct> {
  const peer = new Program<MemoryAct>(PEER);
  peers.push(peer);
  return peer;
}

test('a block is a file of that size in /dev/shm, zero at first, and its own only', () => {
  using shm = new SharedMemory({ create: true, size: 1000 });
  assert.match(shm.name, /^psm_[0-9a-f]{8}$/);
  assert.equal(shm.size, 1000);
  assert.equal(shm.buf.byteLength, 1000);
  assert.ok(new Uint8Array(shm.buf).every(byte => byte === 0));
  const { size, mode, blocks } = statSync(`/dev/shm/${shm.name}`);
  assert.equal(size, 1000);
  assert.equal(mode & 0o777, 0o600);
  assert.ok(blocks > 0, 'its memory has been set aside');
  assert.equal(inspect(shm), `SharedMemory "${shm.name}" { size: 1000 }`);
});

test('who attaches by the name sees the same bytes, and each closes for itself', () => {
  using made = new SharedMemory({ name: newName(), create: true, size: 16 });
  using attached = new SharedMemory({ name: `/${made.name}` });
  assert.equal(attached.name, made.name);
  assert.equal(attached.size, 16);
  new Float64Array(made.buf)[1] = 0.5;
  assert.equal(new Float64Array(attached.buf)[1], 0.5);
  made.close();
  new Float64Array(attached.buf)[0] = 2;
  using again = new SharedMemory({ name: made.name });
  assert.deepEqual([...new Float64Array(again.buf)], [2, 0.5]);
  assert.equal(mappings(made.name), 2);
});

test('what it is made of is checked', () => {
  const wrong = (options: unknown, name: string) =>
    assert.throws(() => new SharedMemory(options as never), { name }, inspect(options));
  for (const options of [undefined, null, {}, { name: 5 }, { create: 1 }, { create: true }, { size: 5 }])
    wrong(options, 'TypeError');
  wrong({ create: true, size: '8' }, 'TypeError');
  for (const size of [0, -1, 1.5, Number.NaN, 2 ** 53]) wrong({ create: true, size }, 'RangeError');
  for (const name of ['', '/', 'a/b', '..', 'a\0b', 'ä'.repeat(128)]) wrong({ name }, 'RangeError');
});

test('a name that is taken, one that is not there', () => {
  const name = newName();
  assert.throws(() => new SharedMemory({ name }), { name: 'NameNotFoundError', code: 'ERR_NAME_NOT_FOUND' });
  using shm = new SharedMemory({ name, create: true, size: 8 });
  new Uint8Array(shm.buf)[0] = 1;
  assert.throws(() => new SharedMemory({ name, create: true, size: 8 }), NameInUseError);
  assert.equal(new Uint8Array(shm.buf)[0], 1);
});

test('what is no block of memory is refused', () => {
  for (const name of readdirSync('/dev/shm', { withFileTypes: true }))
    if (name.isDirectory()) assert.throws(() => new SharedMemory({ name: name.name }), NameInUseError);
});

test('unlink() takes the name away, once; who has the block keeps it', () => {
  using shm = new SharedMemory({ create: true, size: 8 });
  using other = new SharedMemory({ name: shm.name });
  other.unlink();
  assert.equal(isThere(shm.name), false);
  for (const one of [shm, other]) assert.throws(() => one.unlink(), NameNotFoundError);
  new Uint8Array(shm.buf)[0] = 5;
  assert.equal(new Uint8Array(other.buf)[0], 5);
  using next = new SharedMemory({ name: shm.name, create: true, size: 16 });
  assert.throws(() => shm.unlink(), NameNotFoundError, 'the name means another block by now');
  shm[Symbol.dispose]();
  assert.ok(isThere(next.name));
});

test('close() detaches what shows the memory, and unmaps it at once', () => {
  using shm = new SharedMemory({ create: true, size: 100_000 });
  const { buf } = shm;
  assert.equal(shm.buf, buf);
  const views = [new Uint8Array(buf), new DataView(buf, 8), Buffer.from(buf, 0, 5)];
  assert.equal(mappings(shm.name), 1);
  shm.close();
  assert.equal(mappings(shm.name), 0);
  shm.close();
  assert.equal(buf.byteLength, 0);
  assert.equal((views[0] as Uint8Array)[0], undefined);
  assert.throws(() => (views[1] as DataView).getUint8(0), TypeError);
  assert.throws(() => shm.buf, ClosedError);
  assert.equal(shm.size, 100_000);
  assert.equal(inspect(shm), `SharedMemory "${shm.name}" <closed>`);
  shm.unlink();
  assert.equal(isThere(shm.name), false);
});

test('what nobody has any more is unmapped, what is made of its bytes keeps them', LIMIT, async () => {
  using shm = new SharedMemory({ create: true, size: 8 });
  let view: Uint8Array | undefined = new Uint8Array(new SharedMemory({ name: shm.name }).buf);
  await collect();
  assert.equal(mappings(shm.name), 2);
  view[0] = 9;
  assert.equal(new Uint8Array(shm.buf)[0], 9);
  view = undefined;
  await collect();
  await waitUntil(() => mappings(shm.name) === 1, 'the memory to be let go of');
});

for (const { name, start } of carriers)
  describe(name, () => {
    test('it crosses as its name, and an attached one removes nothing', LIMIT, async () => {
      using shm = new SharedMemory({ create: true, size: 8 });
      const numbers = new Int32Array(shm.buf);
      const child = start((there: SharedMemory) => {
        new Int32Array(there.buf)[0] = 5;
        new Int32Array(shm.buf)[1] = there === shm ? 6 : 0; // by the closure
        there[Symbol.dispose]();
        return there;
      }, shm);
      assert.equal(await child.result(), shm);
      await child.join();
      assert.deepEqual([...numbers], [5, 6]);
      assert.ok(isThere(shm.name));
    });
  });

test('what was removed on the way is not there', () => {
  using queue = new Queue<SharedMemory>();
  {
    using shm = new SharedMemory({ create: true, size: 8 });
    queue.putNowait(shm);
    assert.equal(queue.getNowait(), shm);
    queue.putNowait(shm);
  }
  assert.throws(
    () => queue.getNowait(),
    ({ code, cause }: NodeJS.ErrnoException) =>
      code === 'ERR_SERIALIZATION' && cause instanceof NameNotFoundError,
  );
});

test('a block goes with the program that made it, not with one that has attached', LIMIT, async () => {
  const [maker, user] = [startPeer(), startPeer()];
  const name = await maker.call<string>('make', 5000);
  assert.equal(await user.call('attach', name), 5000);
  await user.kill();
  const last = startPeer();
  assert.equal(await last.call('attach', name), 5000, 'the end of an attached program has no consequence');
  await maker.kill();
  await waitUntil(() => !isThere(name), 'the block to be removed');
});

test('what a child made stays as long as any of its family lives', LIMIT, async () => {
  const peer = startPeer();
  const name = await peer.call<string>('makeInChild', 100);
  const child = await peer.call<number>('keepInChild', 100);
  assert.ok(isThere(name), 'its maker has ended');
  await peer.kill();
  assert.ok(isThere(name), 'the child lives');
  process.kill(child, 'SIGKILL');
  await waitUntil(() => !isThere(name), 'the block to be removed');
});

const KILLS = Number(process.env.MANYHANDS_KILLS ?? 3);

test('who is killed amidst making leaves nothing', LIMIT, async () => {
  const before = new Set(readdirSync('/dev/shm'));
  for (let i = 0; i < KILLS; i++) {
    const peer = startPeer();
    await peer.call('attach', '').catch(() => {}); // it is there
    void peer.call('storm');
    await waitUntil(() => readdirSync('/dev/shm').length > before.size + 7 * i, 'blocks to be made');
    await peer.kill();
    await waitUntil(
      () => readdirSync('/dev/shm').every(name => before.has(name)),
      'all blocks to be removed',
    );
  }
});

test('a janitor that is killed has a successor', LIMIT, async () => {
  const peer = startPeer();
  const lost = await peer.call<string>('make', 1);
  const family = commonsOf(peer.child.pid as number);
  const janitor = allProcesses().find(({ pid }) => isJanitor(pid) && commonsOf(pid) === family);
  assert.ok(janitor);
  process.kill(janitor.pid, 'SIGKILL');
  await waitGone(janitor.pid);
  const name = await peer.call<string>('make', 1);
  await peer.kill();
  await waitUntil(() => !isThere(name), 'the block to be removed');
  new SharedMemory({ name: lost }).unlink(); // nobody else knew of it
});

/** Tells families apart. */
function commonsOf(pid: number): string | undefined {
  return / (\d+) +\/memfd:manyhands/.exec(readFileSync(`/proc/${pid}/maps`, 'utf8'))?.[1];
}

function isJanitor(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8') === 'mh-janitor\n';
  } catch {
    return false; // it has ended meanwhile
  }
}

/** Runs a program where /dev/shm has 1 MiB. */
function cramped(program: string): { status: number | null; stdout: string; stderr: string } {
  const script = `mount -t tmpfs -o size=1m none /dev/shm && exec '${process.execPath}' -e "$0"`;
  return spawnSync('unshare', ['-rm', 'sh', '-c', script, program], { encoding: 'utf8' });
}
const canCramp = cramped('').status === 0;

test('no room is an error when a block is made, not a crash when it is used', { skip: !canCramp }, () => {
  const { stdout, stderr } = cramped(`
    const { SharedMemory } = require('${path.join(__dirname, 'shared-memory.js')}');
    for (const size of [2 ** 21, 2 ** 29])
      try { new SharedMemory({ create: true, size }); } catch ({ name, code }) { console.log(name, code); }
    const shm = new SharedMemory({ create: true, size: 2 ** 19 });
    new Uint8Array(shm.buf).fill(1);
    console.log(require('fs').readdirSync('/dev/shm').length);`);
  assert.equal(stdout, `${'OutOfMemoryError ERR_OUT_OF_MEMORY\n'.repeat(2)}1\n`, stderr);
});

describe('with CPython', { skip: !hasPython && 'there is no python3 with shared_memory' }, () => {
  test('what is made here is read and written there, and the other way round', LIMIT, () => {
    using shm = new SharedMemory({ create: true, size: 1000 });
    new Uint8Array(shm.buf).set([1, 2, 3]);
    const [there, size, bytes] = python<[string, number, number[]]>(
      `
shm = SharedMemory(given)
own = SharedMemory(create=True, size=5000)
own.buf[4999] = 7
shm.buf[999] = 8
tell([own.name, shm.size, list(shm.buf[:4])])`,
      shm.name,
    );
    assert.equal(size, 1000);
    assert.deepEqual(bytes, [1, 2, 3, 0]);
    assert.equal(new Uint8Array(shm.buf)[999], 8);
    using attached = new SharedMemory({ name: there });
    assert.equal(attached.size, 5000);
    assert.equal(new Uint8Array(attached.buf)[4999], 7);
    attached.unlink();
    assert.equal(isThere(there), false);
  });

  test('missing and existing names, and unlink, mean the same', LIMIT, () => {
    using shm = new SharedMemory({ create: true, size: 8 });
    const told = python<string[]>(
      `
told = []
def attempt(act):
  try: act()
  except Exception as error: told.append(type(error).__name__)
shm = SharedMemory(given)
attempt(lambda: SharedMemory(given, create=True, size=8))
shm.unlink()
attempt(shm.unlink)
attempt(lambda: SharedMemory(given))
tell(told)`,
      shm.name,
    );
    assert.deepEqual(told, ['FileExistsError', 'FileNotFoundError', 'FileNotFoundError']);
    assert.throws(() => shm.unlink(), NameNotFoundError);
    assert.throws(() => new SharedMemory({ name: shm.name }), NameNotFoundError);
  });
});
