import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { unlinkSync } from 'node:fs';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { EndOfFileError, SerializationError } from '../../errors/errors.js';
import { native } from '../../native/native.js';
import { leavesNothing } from '../../testing/leaks.js';
import { LIMIT } from '../../testing/sharing.js';
import { openDoorbell } from '../../wait/doorbell.js';
import { FrameSocket } from './frame-socket.js';
import { newPath, stranger } from './testing/pairs.js';

leavesNothing({ warm: openDoorbell });

/** Keeps what it is told. */
class Keeper {
  readonly frames: Buffer[] = [];
  ended: { error: Error | undefined } | undefined;
  drains = 0;
  #told: () => void = () => {};

  onFrame(bytes: Uint8Array): void {
    this.frames.push(Buffer.from(bytes));
    this.#told();
  }
  onEnd(error?: Error): void {
    this.ended = { error };
    this.#told();
  }
  onDrain(): void {
    this.drains++;
    this.#told();
  }
  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>(resolve => (this.#told = resolve));
  }
}

/** The first who comes. */
function listenAt(path: string): { fd: Promise<number>; close(): void } {
  const listener = native.socketListen(Buffer.from(path), 0, 8);
  const fd = new Promise<number>(resolve => {
    native.socketWatch(listener, () => resolve(native.socketAccept(listener)));
    native.socketWant(listener, 1, 1);
  });
  return {
    fd,
    close() {
      native.socketClose(listener);
      unlinkSync(path);
    },
  };
}

/** Two connected sockets, and who is told what comes. */
async function pair(): Promise<{ a: FrameSocket; b: FrameSocket; atA: Keeper; atB: Keeper }> {
  const path = newPath();
  const listening = listenAt(path);
  const [atA, atB] = [new Keeper(), new Keeper()];
  const a = new FrameSocket(native.socketConnect(Buffer.from(path), 0), atA);
  const b = new FrameSocket(await listening.fd, atB);
  listening.close();
  for (const socket of [a, b]) socket.ref();
  a.resume();
  b.resume();
  return { a, b, atA, atB };
}

test('frames of all lengths arrive in order, those of one turn together', LIMIT, async () => {
  const { a, b, atB } = await pair();
  const lengths = [0, 1, 100, 32_768, 32_769, 65_532, 65_536, 0, 1_000_000, 3, 70_000];
  const frames = lengths.map((length, i) => Buffer.alloc(length, i));
  for (const frame of frames) a.send(frame);
  await atB.until(() => atB.frames.length === frames.length);
  assert.deepEqual(atB.frames, frames);
  assert.equal(a.buffered, 0);
  a.close();
  b.close();
});

test('of the frames of a turn the first goes at once, the others together', LIMIT, async () => {
  const { a, b, atB } = await pair();
  const frames = Array.from({ length: 1000 }, (_, i) => Buffer.from([i]));
  for (const frame of frames) a.send(frame);
  assert.equal(a.buffered, 999 * 5);
  await atB.until(() => atB.frames.length === frames.length);
  assert.deepEqual(atB.frames, frames);
  a.close();
  b.close();
});

test('bytes are taken as they are at the call, unless they are given away', LIMIT, async () => {
  const { a, b, atB } = await pair();
  b.pause();
  const bytes = Buffer.alloc(2_000_000, 1); // more than the kernel takes
  a.send(bytes);
  bytes.fill(2);
  assert.ok(a.buffered > 0);
  b.resume();
  await atB.until(() => atB.frames.length === 1);
  assert.ok(atB.frames[0].equals(Buffer.alloc(2_000_000, 1)));
  a.close();
  b.close();
});

test('what the kernel does not take is counted, and its end told', LIMIT, async () => {
  const { a, b, atA, atB } = await pair();
  b.pause();
  const bytes = Buffer.alloc(500_000, 1);
  for (let i = 0; i < 8; i++) a.send(bytes);
  assert.ok(a.buffered > 3_000_000 && a.buffered < 4_000_032);
  assert.equal(a.flushSync(10), false);
  b.resume();
  await atB.until(() => atB.frames.length === 8);
  await atA.until(() => a.buffered === 0);
  assert.ok(atA.drains > 0);
  a.close();
  b.close();
});

test('a paused socket keeps frames back, also of those that have come together', LIMIT, async () => {
  const { a, b, atB } = await pair();
  const given: number[] = [];
  b.owner = {
    onFrame(bytes) {
      given.push(bytes[0]);
      if (bytes[0] % 3 === 0) b.pause();
      atB.onFrame(bytes);
    },
    onEnd: () => atB.onEnd(),
  };
  for (let i = 1; i <= 10; i++) a.send(Buffer.from([i]));
  a.end();
  await atB.until(() => given.length === 3);
  b.resume();
  await atB.until(() => given.length === 6);
  b.resume();
  await atB.until(() => given.length === 9);
  assert.equal(atB.ended, undefined);
  b.resume();
  await atB.until(() => atB.ended !== undefined);
  assert.deepEqual(given, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
});

test('who blocks from within a frame gets the next ones in order', LIMIT, async () => {
  const { a, b, atB } = await pair();
  const given: number[] = [];
  b.owner = {
    onFrame(bytes) {
      const number = bytes[0];
      given.push(number);
      if (number === 1) {
        a.send(Buffer.from([5]));
        assert.ok(b.blockUntil(() => given.length === 5, 5000));
      }
      atB.onFrame(bytes);
    },
    onEnd: () => {},
  };
  for (let i = 1; i <= 4; i++) a.send(Buffer.from([i]));
  await atB.until(() => given.length === 5);
  assert.deepEqual(given, [1, 2, 3, 4, 5]);
  a.close();
  b.close();
});

test('the end is told once: in order, in the midst of a frame, and of what is no frame', LIMIT, async () => {
  for (const [bytes, expected] of [
    [[], undefined],
    [[0, 0], EndOfFileError],
    [[0, 0, 0, 5, 1, 2], EndOfFileError],
    [[0, 8, 0, 0, 1, 2], EndOfFileError],
    [[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0, 1], EndOfFileError], // 2 GiB, of which one byte came
    [[0xff, 0, 0, 0, 1, 2], SerializationError],
  ] as const) {
    const path = newPath();
    const listening = listenAt(path);
    const there = await stranger(path);
    const told = new Keeper();
    const here = new FrameSocket(await listening.fd, told);
    listening.close();
    here.ref();
    here.resume();
    there.end(Buffer.from(bytes));
    await told.until(() => told.ended !== undefined);
    if (expected) assert.ok(told.ended?.error instanceof expected, String(bytes));
    else assert.equal(told.ended?.error, undefined);
    assert.equal(here.isOpen, false);
    assert.throws(() => here.send(Buffer.alloc(1)), { code: 'ERR_CLOSED' });
    there.destroy();
  }
});

test('who sends to one that is gone is told of the end', LIMIT, async () => {
  const { a, b, atA } = await pair();
  b.close();
  a.send(Buffer.alloc(10));
  await atA.until(() => atA.ended !== undefined);
  assert.equal(a.canSend, false);
  assert.equal(a.buffered, 0);
});

test('end() closes once all has been taken, close() at once', LIMIT, async () => {
  const { a, b, atB } = await pair();
  const bytes = Buffer.alloc(3_000_000, 1);
  a.send(bytes);
  a.end();
  assert.equal(a.canSend, false);
  await atB.until(() => atB.ended !== undefined);
  assert.equal(atB.frames[0]?.length, bytes.length);
  assert.equal(a.isOpen, false);
  assert.equal(b.isOpen, false);
});

test(
  'a socket that nobody holds does not keep a program alive, what it has to send does',
  LIMIT,
  async () => {
    const program = `
    const { unlinkSync } = require('node:fs');
    const { native } = require(${JSON.stringify(require.resolve('../../native/native.js'))});
    const { FrameSocket } = require(${JSON.stringify(__filename.replace(/\.test\.[jt]s$/, '.js'))});
    const path = Buffer.from(process.argv[1]);
    const listener = native.socketListen(path, 0, 8);
    let received = 0;
    const owner = { onFrame: bytes => { received += bytes.length }, onEnd() {} };
    const a = new FrameSocket(native.socketConnect(path, 0), owner);
    const b = new FrameSocket(native.socketAccept(listener), owner);
    a.resume(), b.resume();
    a.send(new Uint8Array(3e6));
    unlinkSync(process.argv[1]);
    process.on('exit', () => console.log(a.buffered));
  `;
    const { stdout } = await promisify(execFile)(process.execPath, ['-e', program, newPath()], {
      timeout: 30_000,
    });
    assert.equal(stdout, '0\n');
  },
);
