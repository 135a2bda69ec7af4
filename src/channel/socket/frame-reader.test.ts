import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FrameReader, LONGEST_HEAD, writeFrameHead } from './frame-reader.js';

const GIB = 2 ** 30;

/** The stream of these frames. */
function streamOf(frames: readonly Uint8Array[]): Buffer {
  return Buffer.concat(
    frames.flatMap(frame => {
      const head = new Uint8Array(LONGEST_HEAD);
      return [head.subarray(0, writeFrameHead(head, frame.length)), frame];
    }),
  );
}

/** The frames in a stream that comes in pieces of these lengths, over and over. */
function framesIn(stream: Buffer, lengths: readonly number[]): Buffer[] {
  const reader = new FrameReader();
  const scratch = new Uint8Array(Math.max(...lengths));
  const frames: Buffer[] = [];
  for (let at = 0, i = 0; at < stream.length; i++) {
    const piece = stream.subarray(at, at + lengths[i % lengths.length]);
    at += piece.length;
    scratch.set(piece);
    reader.take(scratch, piece.length);
    for (let frame = reader.next(GIB); frame !== undefined; frame = reader.next(GIB)) {
      assert.ok(typeof frame !== 'string', String(frame));
      frames.push(Buffer.from(frame));
    }
  }
  assert.equal(reader.isWithin, false);
  return frames;
}

test('frames are whole however the stream is cut', () => {
  const frames = [0, 1, 3, 0, 0, 255, 256, 70_000, 2, 300_000].map((length, i) =>
    Buffer.alloc(length, i + 1),
  );
  const stream = streamOf(frames);
  for (const lengths of [[stream.length], [1000], [65_536], [7, 1, 30_000]])
    assert.deepEqual(framesIn(stream, lengths), frames, `pieces of ${lengths}`);
  const few = frames.filter(frame => frame.length < 300);
  for (const lengths of [[1], [4], [3, 2]]) assert.deepEqual(framesIn(streamOf(few), lengths), few);
});

test('heads are as CPython’s, with 12 bytes from 2 GiB on', () => {
  const head = Buffer.alloc(LONGEST_HEAD);
  for (const [length, expected] of [
    [0, '00000000'],
    [0x01020304, '01020304'],
    [0x7fffffff, '7fffffff'],
    [0x80000000, 'ffffffff0000000080000000'],
    [5 * GIB, 'ffffffff0000000140000000'],
  ] as const)
    assert.equal(head.toString('hex', 0, writeFrameHead(head, length)), expected);
});

test('a frame that is longer than allowed, or none, is refused by its head alone', () => {
  const long = Buffer.alloc(LONGEST_HEAD);
  writeFrameHead(long, 5 * GIB);
  for (const [stream, most, expected] of [
    [
      Buffer.from('GET / HTTP/1.1\r\n'),
      256,
      /^a frame of 1195725856 bytes was announced, and 256 are allowed$/,
    ],
    [Buffer.from([0, 0, 1, 1]), 256, /^a frame of 257 bytes was announced/],
    [Buffer.from([0x80, 0, 0, 0]), GIB, /^what came is no frame: its length would be -2147483648$/],
    [Buffer.from([0xff, 0xff, 0xff, 0xfe]), GIB, /its length would be -2$/],
    [long, 4 * GIB, /^a frame of 5368709120 bytes was announced, and \d+ are allowed$/],
    [
      Buffer.alloc(12, 0xff),
      Number.POSITIVE_INFINITY,
      /^a frame of 18446744073709552000 bytes was announced/,
    ],
  ] as const) {
    const reader = new FrameReader();
    reader.take(stream, stream.length);
    assert.match(String(reader.next(most)), expected);
  }
});

test('memory for a frame comes with its bytes, not with its head', () => {
  const reader = new FrameReader();
  const head = Buffer.alloc(LONGEST_HEAD);
  reader.take(head, writeFrameHead(head, 3 * GIB));
  assert.equal(reader.next(Number.POSITIVE_INFINITY), undefined);
  assert.ok((reader.target as Uint8Array).length <= 2 ** 20);
  const piece = Buffer.alloc(3 * 2 ** 20);
  reader.take(piece, piece.length);
  assert.equal(reader.next(Number.POSITIVE_INFINITY), undefined);
  assert.ok((reader.target as Uint8Array).length <= 2 ** 23);
});
