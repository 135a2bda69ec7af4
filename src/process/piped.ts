import { openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { native } from '../native/native.js';

/** What is kept of a child's output that nobody has read yet. What a pipe holds, 64 KiB, comes on top. */
const KEPT = 2 ** 16;
/** A pipe holds no more than this, whatever somebody has set. */
const LARGEST_PIPE = 2 ** 20;
let scratch: Buffer | undefined;

/**
 * What a child prints, read from a pipe; `fd` is this object's own. While nobody reads, it fills, and then the child waits
 * in its next write. It ends when nobody can write to it any more: neither the child nor what that has started.
 *
 * It keeps the event loop alive only where its process has ended, somebody reads, and others still may write.
 */
export class PipedOutput extends Readable {
  readonly #fd: number;
  readonly #socket: Socket;
  #isRead = false;
  #isOrphan = false;

  constructor(fd: number) {
    super({ highWaterMark: KEPT });
    this.#fd = fd;
    this.#socket = new Socket({ fd, readable: true, writable: false }).unref();
    this.#socket.on('data', chunk => {
      if (!this.push(chunk)) this.#socket.pause();
    });
    this.#socket.on('end', () => this.push(null));
    this.#socket.on('error', error => this.destroy(error));
    this.on('newListener', event => {
      if (event !== 'data' && event !== 'readable') return;
      this.#isRead = true;
      this.#linger();
    });
  }

  override _read(): void {
    this.#socket.resume();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#socket.destroy();
    done(error);
  }

  /**
   * The child has ended: what is left in the pipe is taken out of it, and stays here until somebody reads it. So the pipe can be
   * closed, if nobody else has it.
   */
  childEnded(): void {
    if (this.#socket.destroyed || this.#socket.readableEnded) return;
    this.#isOrphan = true;
    while (this.#socket.read() !== null); // each of which is pushed
    scratch ??= Buffer.allocUnsafe(KEPT);
    for (let taken = 0; taken < LARGEST_PIPE; ) {
      let count: number;
      try {
        count = readSync(this.#fd, scratch);
      } catch {
        break; // there may be more to come: EAGAIN
      }
      if (count === 0) {
        this.#socket.destroy();
        this.push(null);
        return;
      }
      this.push(Buffer.from(scratch.subarray(0, count)));
      taken += count;
    }
    this.#linger();
  }

  #linger(): void {
    if (this.#isOrphan && this.#isRead) this.#socket.ref();
  }
}

let nullDevice: number | undefined;

/** `notItsOwn`: descriptors of this process that a child which has all of them by copy is to close, once it has its own. */
type Start = (fds: readonly [number, number] | undefined, notItsOwn: readonly number[]) => void;

/**
 * Starts a child with the descriptors that are to be its stdout and stderr; undefined: those of this process. Returns what
 * there is to read of them.
 */
export function startWithOutputs(
  stdio: 'inherit' | 'ignore' | 'pipe',
  start: Start,
): readonly [PipedOutput, PipedOutput] | undefined {
  if (stdio === 'inherit') start(undefined, []);
  else if (stdio === 'ignore') {
    nullDevice ??= openSync('/dev/null', 'r+');
    start([nullDevice, nullDevice], []);
  } else return startWithPipes(start);
  return undefined;
}

function startWithPipes(start: Start): readonly [PipedOutput, PipedOutput] {
  const out = native.pipe();
  let err: [number, number] | undefined;
  try {
    err = native.pipe();
    start([out[1], err[1]], [...out, ...err]);
  } catch (error) {
    native.close(out[0]);
    if (err) native.close(err[0]);
    throw error;
  } finally {
    native.close(out[1]);
    if (err) native.close(err[1]);
  }
  return [new PipedOutput(out[0]), new PipedOutput(err[0])];
}
