import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { connect as connectPlain, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Connection } from '../../connection.js';
import type { Address } from '../address.js';
import { connect } from '../connect.js';
import type { FrameSocket } from '../frame-socket.js';
import { Listener } from '../listener.js';
import { openSocket } from '../open-socket.js';

/* For tests of sockets. */

export const KEY: Uint8Array = Buffer.from('a key for tests');
export const WRONG_KEY: Uint8Array = Buffer.from('another key');
const CREDENTIALS = { key: KEY, allowMd5: false };

let made = 0;

/** A path in the file's own folder for temporary files. */
export function newPath(): string {
  return path.join(tmpdir(), `s${++made}`);
}

/** An address of each kind. */
export const KINDS: readonly { name: string; address: () => Address }[] = [
  { name: 'a path', address: newPath },
  { name: 'an abstract name', address: () => `\0manyhands-test-${process.pid}-${++made}` },
  { name: 'TCP', address: () => ({ host: '127.0.0.1', port: 0 }) },
];

/** Calls `use` with both ends of a connection, and closes what is open still. */
export async function withPair(
  use: (here: Connection, there: Connection) => unknown,
  address: Address = newPath(),
): Promise<void> {
  await using listener = await new Listener({ address, authkey: KEY }).listen();
  using here = await connect({ address: listener.address, authkey: KEY });
  using there = await listener.accept();
  await use(here, there);
}

/** The other end of a connection, as frames, which may be anything. The socket is paused. */
export async function withFrames(use: (here: Connection, there: FrameSocket) => unknown): Promise<void> {
  await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
  const there = await openSocket(listener.address, CREDENTIALS, {});
  try {
    using here = await listener.accept();
    await use(here, there);
  } finally {
    there.close();
  }
}

/** Somebody who may send anything, connected. */
export function stranger(address: Address): Promise<Socket> {
  const socket =
    typeof address === 'string' ? connectPlain(address) : connectPlain(address.port, address.host);
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.once('connect', () => {
      socket.off('error', reject);
      socket.on('error', () => {}); // that it is hung up on is the test's concern
      resolve(socket);
    });
  });
}

/** What comes, as frames. */
export async function* framesOf(socket: Socket): AsyncGenerator<Buffer> {
  let had = Buffer.alloc(0);
  for await (const chunk of socket) {
    had = Buffer.concat([had, chunk]);
    while (had.length >= 4 && had.length >= 4 + had.readInt32BE()) {
      yield had.subarray(4, 4 + had.readInt32BE());
      had = had.subarray(4 + had.readInt32BE());
    }
  }
}

/** A frame as it is sent. */
export function framed(bytes: Uint8Array): Buffer {
  const head = Buffer.alloc(4);
  head.writeInt32BE(bytes.length);
  return Buffer.concat([head, bytes]);
}

/** Proves that it has the key, and asks for nothing. */
export async function proves(peer: Socket): Promise<void> {
  const frames = framesOf(peer);
  const asked = (await frames.next()).value.subarray('#CHALLENGE#'.length);
  const mac = createHmac('sha256', KEY).update(asked).digest();
  peer.write(framed(Buffer.concat([Buffer.from('{sha256}'), mac])));
  assert.equal(String((await frames.next()).value), '#WELCOME#');
  peer.write(framed(Buffer.concat([Buffer.from('#CHALLENGE#{sha256}'), Buffer.alloc(40)])));
  await frames.next();
  peer.write(framed(Buffer.from('#WELCOME#')));
}
