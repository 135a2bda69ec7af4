import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { AuthenticationError, EndOfFileError, TimeoutError } from '../../errors/errors.js';
import { leavesNothing } from '../../testing/leaks.js';
import { LIMIT } from '../../testing/sharing.js';
import { openDoorbell } from '../../wait/doorbell.js';
import { connect } from './connect.js';
import { Listener } from './listener.js';
import { framed, framesOf, KEY, newPath, stranger, WRONG_KEY } from './testing/pairs.js';

leavesNothing({ warm: openDoorbell });

const CHALLENGE = '#CHALLENGE#';

function answerTo(message: Uint8Array, digest = 'sha256', named = digest, key = KEY): Buffer {
  return Buffer.concat([Buffer.from(`{${named}}`), createHmac(digest, key).update(message).digest()]);
}

const challenge = (...parts: (string | Uint8Array)[]) =>
  framed(Buffer.concat([CHALLENGE, ...parts].map(part => Buffer.from(part as string))));

/** Calls `use` with a listener's address, whose one peer is served by `serve`. */
async function withFake(
  serve: (socket: Socket, frames: AsyncGenerator<Buffer>) => unknown,
  use: (path: string) => Promise<unknown>,
): Promise<void> {
  const path = newPath();
  const sockets = new Set<Socket>();
  const failures: unknown[] = [];
  const server = createServer(socket => {
    sockets.add(socket.on('error', () => {}));
    Promise.resolve(serve(socket, framesOf(socket))).catch(error => failures.push(error));
  });
  await new Promise<void>(resolve => server.listen(path, resolve));
  try {
    await use(path);
    assert.deepEqual(failures, []);
  } finally {
    for (const socket of sockets) socket.destroy();
    await new Promise(resolve => server.close(resolve));
  }
}

test('the wrong key is an AuthenticationError at both ends, and the next one is welcome', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const { address } = listener;
  const accepting = assert.rejects(listener.accept(), AuthenticationError);
  await assert.rejects(connect({ address, authkey: WRONG_KEY }), AuthenticationError);
  await accepting;
  await assert.rejects(connect({ address }), /AuthenticationError: .* give both the same "authkey"/); // the program's own
  await assert.rejects(listener.accept(), AuthenticationError);
  using here = await connect({ address, authkey: KEY });
  using there = await listener.accept();
  await here.send(1);
  assert.equal(await there.recv(), 1);
});

test('a listener asks first, as CPython does, and each time something else', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const seen = new Set<string>();
  for (let i = 0; i < 2; i++) {
    const peer = await stranger(listener.address);
    const { value } = await framesOf(peer).next();
    assert.match(value.toString('latin1'), /^#CHALLENGE#\{sha256\}.{40}$/s);
    seen.add(value.toString('latin1'));
    peer.destroy();
  }
  assert.equal(seen.size, 2);
});

test('challenges by all digests of CPython are answered, by others not', LIMIT, async () => {
  for (const [named, digest] of [
    ['sha256', 'sha256'],
    ['sha384', 'sha384'],
    ['sha3_256', 'sha3-256'],
    ['md5', undefined],
    ['sha1', undefined],
    ['constructor', undefined],
  ] as const) {
    const message = Buffer.concat([Buffer.from(`{${named}}`), Buffer.alloc(40, 7)]);
    await withFake(
      async (socket, frames) => {
        socket.write(challenge(message));
        const { value } = await frames.next();
        if (digest) assert.deepEqual(value, answerTo(message, digest, named));
        else assert.equal(value, undefined); // it hangs up without a word
        socket.end(framed(Buffer.from('#FAILURE#')));
      },
      address => assert.rejects(connect({ address, authkey: KEY }), AuthenticationError),
    );
  }
});

test('MD5, as of CPython up to 3.11, is neither answered nor taken for an answer', LIMIT, async () => {
  await withFake(
    async (socket, frames) => {
      socket.write(challenge(Buffer.alloc(20, 7)));
      assert.equal((await frames.next()).value, undefined);
    },
    address => assert.rejects(connect({ address, authkey: KEY }), /AuthenticationError: .*MD5.*"allowMd5"/),
  );
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const peer = await stranger(listener.address);
  const frames = framesOf(peer);
  const asked = (await frames.next()).value.subarray(CHALLENGE.length);
  peer.write(framed(createHmac('md5', KEY).update(asked).digest()));
  assert.equal(String((await frames.next()).value), '#FAILURE#');
  await assert.rejects(listener.accept(), /AuthenticationError: .*MD5.*"allowMd5"/);
  peer.destroy();
});

test('a digest of the peer’s choice must be of the right length, and of the key', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  for (const answerOf of [
    (asked: Buffer) => answerTo(asked).subarray(0, -1),
    (asked: Buffer) => answerTo(asked, 'sha256', 'sha384'),
    (asked: Buffer) => answerTo(asked, 'md5'),
    (asked: Buffer) => answerTo(asked, 'sha256', 'sha256', WRONG_KEY),
    (asked: Buffer) => Buffer.concat([answerTo(asked), Buffer.from('x')]),
    () => Buffer.from('{sha256}'),
    () => Buffer.alloc(0),
  ]) {
    const peer = await stranger(listener.address);
    const frames = framesOf(peer);
    peer.write(framed(answerOf((await frames.next()).value.subarray(CHALLENGE.length))));
    assert.equal(String((await frames.next()).value), '#FAILURE#');
    assert.equal((await frames.next()).done, true);
    await assert.rejects(listener.accept(), AuthenticationError);
    peer.destroy();
  }
});

test('who connects answers no challenge that somebody asks who connects, too', LIMIT, async () => {
  // A listener without the key asks one what it is asked by another, and would pass that with his answer.
  let asked: Buffer | undefined;
  let isAsked: () => void = () => {};
  const hasAsked = new Promise<void>(resolve => (isAsked = resolve));
  let isAnswered: (answer: unknown) => void = () => {};
  const answer = new Promise<unknown>(resolve => (isAnswered = resolve));
  await withFake(
    async (socket, frames) => {
      if (asked) {
        socket.write(framed(asked));
        isAnswered((await frames.next()).value);
        return;
      }
      // The first passes for the sake of the argument: by the true key.
      const own = Buffer.concat([Buffer.from('{sha256}'), Buffer.alloc(40, 1)]);
      socket.write(challenge(own));
      assert.deepEqual((await frames.next()).value, answerTo(own));
      socket.write(framed(Buffer.from('#WELCOME#')));
      asked = (await frames.next()).value;
      isAsked();
    },
    async address => {
      const calledOff = new AbortController();
      const first = connect({ address, authkey: KEY, signal: calledOff.signal });
      first.catch(() => {});
      await hasAsked;
      await assert.rejects(
        connect({ address, authkey: KEY }),
        /passes on the challenge of a program that connects/,
      );
      calledOff.abort();
      await assert.rejects(first, { name: 'AbortError' });
      assert.equal(await answer, undefined);
    },
  );
});

test('garbage gets no further, and no memory; accept() tells of it and goes on', LIMIT, async () => {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  for (const garbage of [
    Buffer.from('GET / HTTP/1.1\r\n\r\n'),
    Buffer.alloc(100_000, 0xff),
    Buffer.from([0, 0, 1, 1]),
    Buffer.from([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0x80, 0, 0, 0]),
  ]) {
    const peer = await stranger(listener.address);
    peer.write(garbage);
    await assert.rejects(listener.accept(), AuthenticationError);
    peer.destroy();
  }
  await withFake(
    socket => void socket.write(Buffer.from('SSH-2.0-OpenSSH_9.6\r\n')),
    address => assert.rejects(connect({ address, authkey: KEY }), AuthenticationError),
  );
  for (const first of ['#WELCOME#', CHALLENGE, `${CHALLENGE}short`, ''])
    await withFake(
      socket => void socket.write(framed(Buffer.from(first))),
      address =>
        assert.rejects(connect({ address, authkey: KEY }), /AuthenticationError: .* is no challenge/),
    );
  const connecting = connect({ address: listener.address, authkey: KEY });
  using _there = await listener.accept();
  (await connecting).close();
});

test('a peer that never answers: connect() gives up in time, or when it is called off', LIMIT, async () => {
  await withFake(
    () => {},
    async address => {
      await assert.rejects(
        connect({ address, authkey: KEY, timeout: 20 }),
        (error: Error) => error instanceof TimeoutError && /has not answered in time/.test(error.message),
      );
      const reason = new Error('enough');
      await assert.rejects(connect({ address, authkey: KEY, signal: AbortSignal.abort(reason) }), reason);
      const calledOff = new AbortController();
      const connecting = connect({ address, authkey: KEY, signal: calledOff.signal });
      setImmediate(() => calledOff.abort(reason));
      await assert.rejects(connecting, reason);
    },
  );
});

test('a peer that leaves: connect() says so, accept() waits for the next', LIMIT, async () => {
  await withFake(
    socket => void socket.end(),
    address => assert.rejects(connect({ address, authkey: KEY }), EndOfFileError),
  );
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const accepting = listener.accept();
  for (const bytes of ['', '\0\0', framed(Buffer.alloc(3)).subarray(0, 5)]) {
    const peer = await stranger(listener.address);
    peer.end(bytes);
    for await (const _ of peer); // until it is hung up on
  }
  using _here = await connect({ address: listener.address, authkey: KEY });
  (await accepting).close();
});
