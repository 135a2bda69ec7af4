import { ClosedError, EndOfFileError, SerializationError } from '../../errors/errors.js';
import type { WaitOptions } from '../../wait/options.js';
import type { Connection } from '../connection.js';
import type { Watch, Watcher } from '../waitable.js';
import type { FrameOwner, FrameSocket } from './frame-socket.js';
import { isForeign, isValue, readValue, valueNow } from './message.js';
import { firstOf, Turn, type Turns } from './turn.js';

/** What may be kept of what was sent and the system has not taken; a longer message goes in alone. */
const ROOM_OUT = 16 * 2 ** 20;
/** From so many bytes on that came and were not asked for, no more are received. */
const ROOM_IN = 2 ** 20;

/** A wait for a message. It holds its connection, or that might be closed as one that nobody has. */
export class Reader extends Turn<unknown> {
  readonly connection: Connection;
  /** The longest message, as bytes; −1: a value. */
  readonly most: number;

  constructor(
    connection: Connection,
    line: Turns<Reader>,
    most: number,
    options: WaitOptions,
    late: () => Error,
  ) {
    super(line, options, late);
    this.connection = connection;
    this.most = most;
  }
}

/** A wait for room. */
export class Sender extends Turn<void> {
  readonly connection: Connection;
  readonly frame: Uint8Array;
  readonly #mailbox: Mailbox;

  constructor(
    connection: Connection,
    mailbox: Mailbox,
    frame: Uint8Array,
    options: WaitOptions,
    late: () => Error,
  ) {
    super(mailbox.senders, options, late);
    this.connection = connection;
    this.frame = frame;
    this.#mailbox = mailbox;
  }

  /** There may be room for the next one, whose message is shorter. */
  override abort(reason: unknown): void {
    super.abort(reason);
    this.#mailbox.onDrain();
  }
}

/** What has come by a connection and has not been received, and who waits at it. */
export class Mailbox implements FrameOwner {
  readonly socket: FrameSocket;
  readonly readers: Turns<Reader> = new Set();
  readonly senders: Turns<Sender> = new Set();
  readonly #watchers = new Set<Watcher>();
  /** Messages that have come, from #first on. */
  #frames: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  #hasEnded = false;
  /** Why, if it was not in order; told once. */
  #reason: Error | undefined;
  #isClosed = false;

  constructor(socket: FrameSocket) {
    this.socket = socket;
    socket.owner = this;
    socket.resume();
  }

  /** Closed by this thread; or this is the copy in the child of a fork, which has none. */
  get isClosed(): boolean {
    return this.#isClosed || !(this.socket.isOpen || this.#hasEnded);
  }

  /** Messages that have come. */
  get count(): number {
    return this.#frames.length - this.#first;
  }

  /** Is there something to receive, or will there never be? */
  get isReady(): boolean {
    return this.count > 0 || this.#hasEnded;
  }

  /** Is there room for so many bytes, and nobody before them? */
  canSend(length: number): boolean {
    return this.senders.size === 0 && this.#hasRoom(length);
  }

  #hasRoom(length: number): boolean {
    const { buffered } = this.socket;
    return buffered === 0 || buffered + length <= ROOM_OUT;
  }

  /**
   * Takes the next message out: as bytes, if it has at most `most` of them; as a value, or a promise of one, with −1.
   * @throws {EndOfFileError} There is none.
   * @throws {RangeError | SerializationError} It is too long, or no value, and stays. Or it cannot be decoded.
   */
  take(most: number): unknown {
    const frame = this.#next(most);
    return most < 0 ? readValue(frame) : frame;
  }

  /** The same for a value that need not be waited for. */
  takeValueNow(): unknown {
    return valueNow(this.#next(-1));
  }

  watch(watcher: Watcher): Watch {
    this.#watchers.add(watcher);
    return { stop: () => this.#watchers.delete(watcher) };
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#frames = [];
    this.#first = 0;
    for (const reader of [...this.readers]) reader.reject(this.closed('receive from'));
    const senders = [...this.senders];
    for (const sender of senders) sender.reject(this.closed('send to'));
    this.#notify();
    this.socket.end();
  }

  closed(act: string): Error {
    return new ClosedError(
      `Cannot ${act} the connection as this thread has closed it, or it is that of the process which forked this one: connect() anew`,
    );
  }

  /** For who sends. */
  gone(): Error {
    return new ClosedError(
      'Cannot send to the connection as the other end is gone: it was closed, or its program has ended',
    );
  }

  onFrame(bytes: Uint8Array, isOwn: boolean): void {
    const reader = this.count === 0 ? firstOf(this.readers) : undefined;
    if (reader && fault(bytes, reader.most) === undefined) {
      this.#hand(reader, bytes, isOwn);
      return;
    }
    this.#frames.push(isOwn ? bytes : bytes.slice());
    this.#bytes += bytes.length;
    if (this.#bytes >= ROOM_IN) this.socket.pause();
    this.#serve();
    if (this.count > 0) this.#notify();
  }

  onEnd(error?: Error): void {
    this.#hasEnded = true;
    this.#reason = error;
    this.#serve();
    for (const sender of [...this.senders]) sender.reject(this.gone());
    this.#notify();
  }

  onDrain(): void {
    for (let sender = firstOf(this.senders); sender; sender = firstOf(this.senders)) {
      if (!this.socket.canSend) {
        sender.reject(this.gone());
        continue;
      }
      if (!this.#hasRoom(sender.frame.length)) return;
      sender.resolve();
      this.socket.send(sender.frame, true);
    }
  }

  /** Gives those who wait what there is. */
  #serve(): void {
    for (let reader = firstOf(this.readers); reader && this.isReady; reader = firstOf(this.readers)) {
      try {
        reader.resolve(this.take(reader.most));
      } catch (error) {
        reader.reject(error);
      }
    }
  }

  /** Gives a message that has just come to who waits for it. */
  #hand(reader: Reader, bytes: Uint8Array, isOwn: boolean): void {
    try {
      if (reader.most < 0) reader.resolve(readValue(bytes));
      else reader.resolve(isOwn ? bytes : bytes.slice());
    } catch (error) {
      reader.reject(error);
    }
  }

  #next(most: number): Uint8Array {
    if (this.count === 0) throw this.#ended();
    const frame = this.#frames[this.#first];
    const error = fault(frame, most);
    if (error) throw error;
    this.#frames[this.#first++] = NOTHING;
    if (this.#first === this.#frames.length || this.#first === COMPACT) {
      this.#frames = this.#frames.slice(this.#first);
      this.#first = 0;
    }
    this.#bytes -= frame.length;
    if (this.#bytes < ROOM_IN) this.socket.resume();
    return frame;
  }

  #ended(): Error {
    const reason = this.#reason;
    this.#reason = undefined;
    return (
      reason ??
      new EndOfFileError(
        'Cannot receive from the connection as the other end is gone and nothing is left: stop receiving',
      )
    );
  }

  #notify(): void {
    if (this.#watchers.size === 0) return;
    const watchers = [...this.#watchers];
    this.#watchers.clear();
    for (const watcher of watchers) watcher.notify();
  }
}

const NOTHING = new Uint8Array(0);
/** After so many messages taken the list of those that are there is made anew. */
const COMPACT = 1024;

/** Why a message may not be taken so. */
function fault(frame: Uint8Array, most: number): Error | undefined {
  if (most < 0) {
    if (isValue(frame)) return undefined;
    const what = isForeign(frame)
      ? 'of another version of manyhands: use one version at both ends, or take it by recvBytes()'
      : 'bytes: use recvBytes()';
    return new SerializationError(
      `Cannot receive a value from the connection as the next message is ${what}`,
      {
        path: 'message',
      },
    );
  }
  if (frame.length <= most) return undefined;
  return new RangeError(
    `Cannot receive a message of ${frame.length} bytes from the connection as "maxLength" is ${most}: allow as much`,
  );
}
