import { constants } from 'node:os';
import { ClosedError, EndOfFileError, SerializationError } from '../../errors/errors.js';
import { native } from '../../native/native.js';
import { answerBlocked, onBlock, openDoorbell, ringSelf } from '../../wait/doorbell.js';
import { FrameReader, LONGEST_HEAD, writeFrameHead } from './frame-reader.js';
import { isClosed, keepFromForks } from './open-sockets.js';
import { Outbox } from './outbox.js';

/** What native code is asked for, and tells. */
const READABLE = 1;
const WRITABLE = 2;
const RUNG = 4;
const UNWATCHED = 8;

const AGAIN = -constants.errno.EAGAIN;
const INTERRUPTED = -constants.errno.EINTR;

const SCRATCH_BYTES = 64 * 1024;
/** Longer frames are not copied to lie beside others. */
const LONG_FRAME = 32 * 1024;
/** So often in a row a socket is read that has more, before others have their turn. */
const READS = 16;

/** Whose a FrameSocket is. None of these may throw. */
export interface FrameOwner {
  /** A frame has come. The bytes are good until this returns, unless they are the owner's own from now on. */
  onFrame(bytes: Uint8Array, isOwn: boolean): void;
  /**
   * Nothing comes any more, and nothing can be sent: the socket is closed. Once at most, and not after close(). With an error: the
   * stream ended in the midst of a frame (EndOfFileError), or is none of frames, or a frame is too long (SerializationError).
   */
  onEnd(error?: Error): void;
  /** The kernel had been unable to take all, and has taken more, or never will: see `buffered` and `canSend`. */
  onDrain?(): void;
}

/** Those that have sent in this turn of the event loop. */
let touched: FrameSocket[] = [];

/** Sends what has been gathered in this turn. */
function endTurn(): void {
  if (touched.length === 0) return;
  const all = touched;
  touched = [];
  for (const socket of all) socket.endTurn();
}

/* A thread that blocks does not get to the end of its turn. */
onBlock(() => {
  endTurn();
  return undefined;
});

/** The memory that is read into, except while somebody is in the midst of it. */
let idle: Uint8Array | undefined;
/** Where a frame gets its head. */
const outgoing = new Uint8Array(LONG_FRAME + LONGEST_HEAD);

/**
 * Whole frames over a connected socket, framed as by CPython's multiprocessing.connection: between programs of any kind, bytes
 * as they are. In order; each arrives once, or the stream ends.
 *
 * The first frame of a turn of the event loop is written at once, all others of the turn together at its end. What the kernel
 * does not take is kept, and counted in `buffered`: whoever sends much waits by that. Frames are read as they come, until pause().
 */
export class FrameSocket {
  #fd: number;
  #owner: FrameOwner;
  readonly #reader = new FrameReader();
  readonly #outbox = new Outbox();
  /** A frame that is longer ends the stream, before there is memory for it. */
  maxLength: number;
  #isPaused = false;
  #isHeld = false;
  #isReading = false;
  /** Has it written in this turn? */
  #hasWritten = false;
  /** Must the kernel say when it takes more? */
  #isStuck = false;
  #isBroken = false;
  #isEnding = false;
  #whenConnected: (() => void) | undefined;
  #wanted = 0;
  #holds: 0 | 1 = 0;

  /** Takes `fd`, a connected socket that does not block: it is closed with this. Reading begins with resume(). */
  constructor(fd: number, owner: FrameOwner, { maxLength = Number.POSITIVE_INFINITY } = {}) {
    this.#fd = fd;
    this.#owner = owner;
    this.maxLength = maxLength;
    this.#isPaused = true;
    native.socketWatch(fd, is => this.#onEvent(is));
    keepFromForks(this);
  }

  /** Whom it tells from now on. Give it to another while it is paused, or from within what it tells. */
  set owner(owner: FrameOwner) {
    this.#owner = owner;
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** Can frames be sent still? Not after close(), end(), and the end of the stream. */
  get canSend(): boolean {
    return this.#fd >= 0 && !this.#isBroken && !this.#isEnding;
  }

  /** Bytes that the kernel has not taken. */
  get buffered(): number {
    return this.#outbox.length;
  }

  /** The peer's address; undefined: it is a Unix socket. */
  get peer(): [host: string, port: number] | undefined {
    return this.#fd < 0 ? undefined : native.socketAddress(this.#fd, 1);
  }

  /** Calls `then`, once, when it is connected, or has failed to be: check() throws then. Keeps the event loop alive until then. */
  whenConnected(then: () => void): void {
    this.#whenConnected = then;
    this.#arm();
  }

  /** @throws It could not be connected: why, as an Error with a `code`. */
  check(): void {
    native.socketCheck(this.#fd);
  }

  /**
   * Sends a frame, or keeps what the kernel does not take. `isOwn`: nobody will change the bytes, so that they need not be copied.
   * @throws {ClosedError} It cannot send any more.
   */
  send(frame: Uint8Array, isOwn = false): void {
    if (!this.canSend) throw new ClosedError('Cannot send as the connection is closed: connect again');
    const isFirst = this.#outbox.length === 0 && !this.#hasWritten;
    if (frame.length > LONG_FRAME) this.#sendLong(frame, isOwn);
    else if (isFirst) this.#sendAtOnce(frame);
    else this.#gather(frame);
    this.#touch();
  }

  /** Has flush() called at the end of the turn. */
  #touch(): void {
    if (this.#hasWritten) return;
    this.#hasWritten = true;
    if (touched.push(this) === 1) process.nextTick(endTurn);
  }

  #sendAtOnce(frame: Uint8Array): void {
    const head = writeFrameHead(outgoing, frame.length);
    outgoing.set(frame, head);
    const end = head + frame.length;
    const sent = native.socketSend(this.#fd, outgoing, 0, end);
    if (sent === end) return;
    this.#outbox.copy(outgoing, Math.max(sent, 0), end);
    if (sent < 0 && sent !== INTERRUPTED) this.#cannotSend(sent);
    else this.#flush();
  }

  #gather(frame: Uint8Array): void {
    this.#outbox.copy(outgoing, 0, writeFrameHead(outgoing, frame.length));
    this.#outbox.copy(frame, 0, frame.length);
    if (!this.#isStuck && this.#outbox.length >= SCRATCH_BYTES) this.#flush();
  }

  #sendLong(frame: Uint8Array, isOwn: boolean): void {
    this.#outbox.copy(outgoing, 0, writeFrameHead(outgoing, frame.length));
    let sent = 0;
    if (!this.#isStuck && this.#flush() && this.#outbox.length === 0) {
      sent = native.socketSend(this.#fd, frame, 0, frame.length);
      if (sent === frame.length) return;
      if (sent < 0 && sent !== INTERRUPTED && sent !== AGAIN) return void this.#cannotSend(sent);
      sent = Math.max(sent, 0);
    }
    if (isOwn) this.#outbox.append(frame, sent);
    else this.#outbox.append(new Uint8Array(frame.subarray(sent)), 0); // a Buffer's slice() is no copy
    if (!this.#isStuck) this.#flush();
  }

  /** @internal */
  endTurn(): void {
    this.#hasWritten = false;
    if (this.#fd >= 0 && !this.#isStuck && this.#outbox.length > 0) this.#flush();
  }

  /** Has the kernel take as much as it does. False: it cannot send any more. */
  #flush(): boolean {
    const outbox = this.#outbox;
    const wasStuck = this.#isStuck;
    while (outbox.length > 0) {
      const { bytes, from, to } = outbox.first;
      const sent = native.socketSend(this.#fd, bytes, from, to);
      if (sent >= 0) outbox.advance(sent);
      else if (sent !== INTERRUPTED) return this.#cannotSend(sent);
    }
    this.#isStuck = false;
    this.#arm();
    if (wasStuck) this.#owner.onDrain?.();
    if (this.#isEnding) this.close();
    return true;
  }

  #cannotSend(error: number): boolean {
    if (error === AGAIN) {
      const wasStuck = this.#isStuck;
      this.#isStuck = true;
      this.#arm();
      if (wasStuck) this.#owner.onDrain?.();
      return true;
    }
    // The peer has closed. What it sent before can be read still, and then comes the end.
    this.#isBroken = true;
    this.#isStuck = false;
    this.#outbox.clear();
    this.#arm();
    this.#owner.onDrain?.();
    if (this.#isEnding) this.close();
    return false;
  }

  /** No frame is given, and no end told, until resume(). What comes stays with the kernel, which stops the peer in the end. */
  pause(): void {
    this.#isPaused = true;
    this.#arm();
  }

  /** Frames that have come are given within this call. */
  resume(): void {
    if (!this.#isPaused || this.#fd < 0) return;
    this.#isPaused = false;
    this.#arm();
    this.#deliver();
  }

  /** Keeps the event loop alive, until unref(). At first, and when all has been sent, it does not. */
  ref(): void {
    this.#isHeld = true;
    this.#arm();
  }

  unref(): void {
    this.#isHeld = false;
    this.#arm();
  }

  /**
   * Blocks this thread until `done()`, which is asked anew whenever something has been read or sent; frames are given to the owner
   * meanwhile. False: `timeout` ms had passed first, or the stream has ended.
   */
  blockUntil(done: () => boolean, timeout = Number.POSITIVE_INFINITY): boolean {
    openDoorbell();
    const deadline = performance.now() + timeout;
    let wasRung = false;
    try {
      for (let isLate = false; ; ) {
        const again = answerBlocked();
        if (done()) return true;
        if (this.#fd < 0 || isLate) return false;
        const left = Math.max(0, deadline - performance.now());
        const sleep = Math.min(left, again);
        const is = native.socketAwait(
          this.#fd,
          this.#wants(),
          sleep === Number.POSITIVE_INFINITY ? -1 : sleep,
        );
        if (is & RUNG) wasRung = true;
        if (is > 0) this.#onEvent(is);
        isLate = performance.now() >= deadline;
      }
    } finally {
      if (wasRung) ringSelf(0); // the event loop has not heard of it
    }
  }

  /** Blocks until the kernel has taken all. False: `timeout` ms had passed first, or it never will. */
  flushSync(timeout?: number): boolean {
    return this.blockUntil(() => this.#outbox.length === 0, timeout) && !this.#isBroken;
  }

  /** Closes it once the kernel has taken all, which keeps the event loop alive. Nothing is read any more. */
  end(): void {
    if (this.#fd < 0) return;
    this.#isEnding = true;
    this.pause();
    if (this.#outbox.length === 0 || this.#isBroken) this.close();
    else if (!this.#isStuck) this.#flush();
  }

  /** Closes it at once: what the kernel has not taken is lost. */
  close(): void {
    if (this.#fd < 0) return;
    native.socketClose(this.#fd);
    this.#forget();
    isClosed(this);
  }

  /** @internal In the child of a fork. */
  abandon(): void {
    if (this.#fd < 0) return;
    native.socketClose(this.#fd);
    this.#forget();
  }

  #forget(): void {
    this.#fd = -1;
    this.#outbox.clear();
    this.#reader.clear();
  }

  #onEvent(is: number): void {
    if (is & UNWATCHED) this.#wanted = 0;
    if (this.#whenConnected && is & WRITABLE) {
      const connected = this.#whenConnected;
      this.#whenConnected = undefined;
      this.#arm();
      connected();
      return;
    }
    if (is & WRITABLE && this.#outbox.length > 0) this.#flush();
    if (is & READABLE && !this.#isPaused) this.#read();
    if (is & UNWATCHED) this.#arm();
  }

  #read(): void {
    if (this.#isReading || this.#reader.hasMore) this.#deliver(); // from within onFrame(): what came before goes first
    for (let i = 0; i < READS && this.#fd >= 0 && !this.#isPaused; i++) {
      const isMore = this.#reader.target ? this.#readLong() : this.#readShort();
      if (!isMore) return;
    }
  }

  /** True: there may be more. */
  #readShort(): boolean {
    const scratch = idle ?? new Uint8Array(SCRATCH_BYTES);
    idle = undefined;
    try {
      const count = native.socketReceive(this.#fd, scratch, 0, SCRATCH_BYTES);
      if (count <= 0) return this.#nothingCame(count);
      this.#reader.take(scratch, count);
      this.#deliver();
      return count === SCRATCH_BYTES;
    } finally {
      this.#reader.keep(scratch);
      idle = scratch;
    }
  }

  /** Straight to where the frame is put together. */
  #readLong(): boolean {
    const reader = this.#reader;
    const target = reader.target as Uint8Array;
    const count = native.socketReceive(this.#fd, target, reader.received, target.length);
    if (count <= 0) return this.#nothingCame(count);
    if (reader.has(count)) this.#owner.onFrame(reader.takeLong(), true);
    return true;
  }

  #nothingCame(count: number): false {
    if (count === AGAIN || count === INTERRUPTED) return false;
    const isTorn = this.#reader.isWithin;
    this.#finish(
      isTorn
        ? new EndOfFileError(
            'Cannot receive the message as the other end is gone in the midst of it: what came of it is dropped',
          )
        : undefined,
    );
    return false;
  }

  /** Gives the frames that have come. */
  #deliver(): void {
    const reader = this.#reader;
    const wasReading = this.#isReading;
    this.#isReading = true;
    try {
      while (reader.hasMore && !this.#isPaused && this.#fd >= 0) {
        const frame = reader.next(this.maxLength);
        if (frame === undefined) break;
        if (typeof frame === 'string') {
          this.#finish(
            new SerializationError(`Cannot receive a message as ${frame}: see who is at the other end`, {
              path: 'message',
            }),
          );
          break;
        }
        this.#owner.onFrame(frame, reader.isOwn);
      }
    } finally {
      this.#isReading = wasReading;
    }
  }

  #finish(error: Error | undefined): void {
    if (this.#fd < 0) return;
    this.close();
    this.#isBroken = true;
    this.#owner.onEnd(error);
  }

  #wants(): number {
    return (this.#isPaused ? 0 : READABLE) | (this.#outbox.length > 0 ? WRITABLE : 0);
  }

  /** Has the event loop watch for what matters now. */
  #arm(): void {
    if (this.#fd < 0) return;
    const isAwaited = this.#isStuck || this.#whenConnected !== undefined;
    const wanted = (this.#isPaused ? 0 : READABLE) | (isAwaited ? WRITABLE : 0);
    const holds = this.#isHeld || isAwaited ? 1 : 0;
    if (wanted === this.#wanted && holds === this.#holds) return;
    this.#wanted = wanted;
    this.#holds = holds;
    native.socketWant(this.#fd, wanted, holds);
  }
}
