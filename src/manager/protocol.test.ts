import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { FrameSocket } from '../channel/socket/frame-socket.js';
import { openSocket } from '../channel/socket/open-socket.js';
import { encode } from '../codec/encode.js';
import { attach } from '../memory/commons.js';
import { random } from '../sync/testing/random.js';
import { leavesNothing } from '../testing/leaks.js';
import { LIMIT } from '../testing/sharing.js';
import { TO_SERVER } from './frames.js';
import { type Hello, VERSION } from './link.js';
import { type Counter, type Slow, TestManager } from './testing/objects.js';

leavesNothing({ warm: attach });

/** How long, ms. */
const FUZZ = Number(process.env.MANYHANDS_FUZZ_MS ?? 0) || 300;

const key = Buffer.from('the key');
const hello: Hello = { version: VERSION, family: 'of nobody', token: 'a token', name: 'a fuzzer' };

const GOOD: readonly (readonly number[])[] = [
  [TO_SERVER.HELLO, ...encode(hello)],
  [TO_SERVER.CALL, 1, 0, 1, ...encode(['Counter', [1]])],
  [TO_SERVER.CALL, 2, 1, 1, ...encode([5])],
  [TO_SERVER.CALL, 3, 1, 0, 3, 103, 101, 116],
  [TO_SERVER.LEND, 1, 1],
  [TO_SERVER.CLAIM, 1, 1, ...Buffer.from('a token')],
  [TO_SERVER.DROP, 1],
  [TO_SERVER.CANCEL, 2],
  [TO_SERVER.RECEIVED, 1],
];

/** A number of a frame. */
function varint(number: number): number[] {
  return number < 128 ? [number] : [(number % 128) | 128, ...varint(Math.floor(number / 128))];
}

test('who does not take its answers is not listened to, so that they do not pile up', LIMIT, async () => {
  const manager = new TestManager({ address: `\0manyhands-slow-${process.pid}`, authkey: key });
  const server = manager.getServer();
  await server.ready();
  const client = await new TestManager({ address: manager.address, authkey: key }).connect();
  const slow = await client.create<Slow>('Slow');
  await slow.echo(1);
  const before = process.memoryUsage().arrayBuffers;
  const socket = await openSocket(manager.address, { key, allowMd5: false }, {});
  socket.send(Uint8Array.from(GOOD[0]));
  const bytes = encode([2_000_000]);
  for (let i = 0; i < 40; i++)
    socket.send(Uint8Array.from([TO_SERVER.CALL, ...varint(i), 1, 0, 5, ...Buffer.from('large'), ...bytes]));
  for (let i = 0; i < 50; i++) assert.equal(await slow.echo(i), i);
  assert.ok(process.memoryUsage().arrayBuffers - before < 20e6);
  let answers = 0;
  await new Promise<void>(resolve => {
    socket.owner = {
      onFrame: () => {
        if (++answers === 41) resolve();
      },
      onEnd() {},
    };
    socket.resume();
  });
  socket.close();
  await client.shutdown();
  await server.stop();
});

test('whatever somebody sends who has the key, others are served still', {
  timeout: FUZZ + LIMIT.timeout,
}, async () => {
  const seed = Number(process.env.MANYHANDS_FUZZ_SEED ?? 0) || Date.now() % 2 ** 31;
  const next = random(seed);
  const below = (n: number) => Math.floor(next() * n);
  const manager = new TestManager({ address: `\0manyhands-fuzz-${process.pid}`, authkey: key });
  const server = manager.getServer();
  await server.ready();
  const client = await new TestManager({ address: manager.address, authkey: key }).connect();
  const counter = await client.create<Counter>('Counter');
  const until = performance.now() + FUZZ;
  let rounds = 0;
  while (performance.now() < until) {
    const socket = await openSocket(manager.address, { key, allowMd5: false }, {});
    await torment(socket, below);
    rounds++;
    await counter.get().catch(cause => assert.fail(`seed ${seed}, round ${rounds}: ${cause}`));
  }
  await client.shutdown();
  await server.stop();
});

/** Sends a few frames, most of them nearly good. Resolves when the connection has ended. */
async function torment(socket: FrameSocket, below: (n: number) => number): Promise<void> {
  const ended = new Promise<void>(resolve => {
    socket.owner = { onFrame() {}, onEnd: () => resolve() };
  });
  socket.resume();
  socket.ref();
  if (below(4) > 0) socket.send(Uint8Array.from(GOOD[0]));
  for (let left = below(12); left > 0 && socket.canSend; left--) {
    const frame = Uint8Array.from(
      below(10) === 0 ? Array.from({ length: below(40) }, () => below(256)) : GOOD[below(GOOD.length)],
    );
    for (let flips = below(3); flips > 0 && frame.length > 0; flips--)
      frame[below(frame.length)] = below(256);
    socket.send(below(8) === 0 ? frame.subarray(0, below(frame.length)) : frame);
    if (below(3) === 0) await new Promise(setImmediate);
  }
  if (socket.canSend) socket.end();
  else await ended;
}
