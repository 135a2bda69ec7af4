import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import type { Socket } from 'node:net';
import { test } from 'node:test';
import { encode } from '../../codec/encode.js';
import { AuthenticationError, ManyhandsError } from '../../errors/errors.js';
import { leavesNothing } from '../../testing/leaks.js';
import { openDoorbell } from '../../wait/doorbell.js';
import { connect } from './connect.js';
import { Listener } from './listener.js';
import { framed, framesOf, KEY, newPath, proves, stranger, withFrames } from './testing/pairs.js';

/*
 * Random and mutated bytes, to a listener and to a connection that has been proved. MANYHANDS_FUZZ_MS is how long each goes on;
 * MANYHANDS_FUZZ_SEED repeats a run.
 */

leavesNothing({ warm: openDoorbell });

const TIME = Number(process.env.MANYHANDS_FUZZ_MS ?? 500);
const SEED = Number(process.env.MANYHANDS_FUZZ_SEED ?? Date.now() % 2 ** 31);
const LIMIT = { timeout: 60_000 + 3 * TIME };
const MORE_MEMORY = 256 * 2 ** 20;

/** mulberry32, by T. Ettinger. */
function randomOf(seed: number): (below: number) => number {
  let state = seed | 0;
  return below => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

type Random = (below: number) => number;

function randomBytes(random: Random, most: number): Buffer {
  return Buffer.from(Array.from({ length: random(most + 1) }, () => random(256)));
}

/** The same with some bytes changed, cut off or put in. */
function mutated(bytes: Uint8Array, random: Random): Buffer {
  let result = Buffer.from(bytes);
  for (let i = random(3); i >= 0; i--) {
    const at = random(result.length + 1);
    const kind = random(4);
    if (kind === 0 && at < result.length) result[at] = random(256);
    else if (kind === 1 && at < result.length) result[at] ^= 1 << random(8);
    else if (kind === 2) result = result.subarray(0, at);
    else result = Buffer.concat([result.subarray(0, at), randomBytes(random, 6), result.subarray(at)]);
  }
  return result;
}

/** Calls `one` until the time is up; memory must not grow without bound. */
async function fuzz(one: (random: Random) => Promise<void>): Promise<void> {
  const random = randomOf(SEED);
  const before = process.memoryUsage().rss;
  const deadline = performance.now() + TIME;
  for (let i = 0; i < 20 || performance.now() < deadline; i++) {
    try {
      await one(random);
    } catch (error) {
      throw new Error(`With MANYHANDS_FUZZ_SEED=${SEED}, after ${i}`, { cause: error });
    }
  }
  const grown = process.memoryUsage().rss - before;
  assert.ok(grown < MORE_MEMORY, `memory grew by ${grown} bytes`);
}

/** What a stranger says who has seen the challenge. */
function saying(random: Random, asked: Buffer): Buffer {
  const answer = Buffer.concat([
    Buffer.from('{sha256}'),
    createHmac('sha256', 'no key of theirs').update(asked).digest(),
  ]);
  const lines = ['#WELCOME#', '#FAILURE#', '#CHALLENGE#', '{sha256}', '{md5}', '{__proto__}', '{'];
  switch (random(5)) {
    case 0:
      return randomBytes(random, 300);
    case 1:
      return framed(mutated(answer, random));
    case 2:
      return mutated(framed(answer), random);
    case 3:
      return framed(Buffer.concat([Buffer.from(lines[random(lines.length)]), randomBytes(random, 60)]));
    default:
      return framed(encode({ run: () => process.exit(1) }));
  }
}

async function isHungUp(peer: Socket): Promise<void> {
  peer.end();
  for await (const _ of peer); // until it is
}

test('a listener that strangers talk nonsense to lets nobody in, and serves others', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const { address } = listener;
  await fuzz(async random => {
    const peer = await stranger(address);
    const { value } = await framesOf(peer).next();
    const asked = value.subarray('#CHALLENGE#'.length);
    const another = await stranger(address);
    another.write(saying(random, asked));
    another.write(saying(random, asked));
    await isHungUp(another);
    await isHungUp(peer);
    const connecting = connect({ address, authkey: KEY });
    for (;;) {
      try {
        (await listener.accept()).close();
        break;
      } catch (error) {
        assert.ok(error instanceof AuthenticationError, String(error));
      }
    }
    (await connecting).close();
  });
});

/** Values of many sorts, as frames of send(). */
const VALUES: readonly Uint8Array[] = [
  1.5,
  'text',
  { a: [1, 2, { b: new Map([[1, new Set([2n])]]) }], c: null },
  new Float64Array(20),
  new Date(0),
  new RangeError('x'),
  Array.from({ length: 50 }, (_, i) => ({ i, s: `${i}` })),
].map(value => Buffer.concat([Buffer.from([0x93, 0x6d, 0x68, 1]), encode(value)]));

test('whoever has the key and sends nonsense gets errors, and harms nobody else', LIMIT, async () => {
  await fuzz(random =>
    withFrames(async (here, there) => {
      const count = 1 + random(20);
      for (let i = 0; i < count; i++) there.send(mutated(VALUES[random(VALUES.length)], random));
      there.send(VALUES[1]);
      for (let i = 0; i < count; i++)
        await here.recv().catch(async error => {
          assert.ok(error instanceof ManyhandsError, String(error));
          if (/recvBytes\(\)/.test(error.message)) await here.recvBytes();
        });
      assert.equal(await here.recv(), 'text');
    }),
  );
});

test('a stream that breaks off anywhere, or is none of frames, ends with an error', LIMIT, async () => {
  await fuzz(async random => {
    await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
    const peer = await stranger(listener.address);
    await proves(peer);
    using here = await listener.accept();
    peer.end(mutated(Buffer.concat([framed(VALUES[2]), framed(VALUES[3])]), random));
    peer.resume();
    for (;;) {
      try {
        await here.recvBytes({ timeout: 10_000 });
      } catch (error) {
        assert.match(String(error), /^(EndOfFileError|SerializationError)/);
        if ((error as Error).name === 'EndOfFileError') break;
      }
    }
    here.close();
    peer.destroy();
  });
});
