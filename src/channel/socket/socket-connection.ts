import { type InspectOptionsStylized, inspect } from 'node:util';
import { registerRefusal } from '../../codec/handles.js';
import { Failure } from '../../codec/path.js';
import { TimeoutError } from '../../errors/errors.js';
import { checkWait, timeoutOf, type WaitOptions } from '../../wait/options.js';
import { soon } from '../breath.js';
import { Connection, checkMaxLength } from '../connection.js';
import { IS_READY, WATCH, type Watch, type Watcher } from '../waitable.js';
import type { FrameSocket } from './frame-socket.js';
import { Mailbox, Reader, Sender } from './mailbox.js';
import { withFrame } from './message.js';

/** Those that nobody has any more are closed. */
const dropped = new FinalizationRegistry<Mailbox>(mailbox => mailbox.close());

/**
 * An end of a connection over a socket, made by connect() and Listener.accept(). Both ends have proved the key.
 *
 * A message is a value that can cross to other programs (docs/values.md), or bytes as they are, 0 to the longest that an ArrayBuffer can
 * be. A value can be received by this library only; sendBytes() and recvBytes() are for CPython and all others.
 *
 * Sending: what is sent goes on its way at once, several messages of one turn of the event loop together. What the system does not
 * take is kept, up to 16 MiB; then `send` waits. A longer message goes in when nothing else is there. Until the system
 * has taken all, the program stays alive. What it has taken arrives, unless the machines or the network fail.
 * Receiving: up to 1 MiB is received before it is asked for; then the peer's `send` waits in the end.
 * Who waits is called in order of arrival. A connection is its thread's: it cannot be sent to others, and the child of a fork() has none
 * of those that its parent has. It keeps the program alive only while somebody waits for it.
 */
export class SocketConnection<T = any> extends Connection<T> {
  override readonly readable: boolean = true;
  override readonly writable: boolean = true;
  readonly #mailbox: Mailbox;

  /** @internal Takes a socket that is paused. */
  constructor(socket: FrameSocket) {
    super();
    this.#mailbox = new Mailbox(socket);
    dropped.register(this, this.#mailbox, this.#mailbox);
  }

  override get closed(): boolean {
    return this.#mailbox.isClosed;
  }

  /** Sends a value. It has been encoded when the call returns. Errors as of Connection. */
  override send(value: T, options: WaitOptions = {}): Promise<void> {
    try {
      checkWait(options);
      this.#checkWritable();
      return withFrame(value, (frame, isOwn) => this.#sent(frame, isOwn, options));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The same, blocking this thread until the system has taken it; with a `timeout`, until there is room for it at least. */
  override sendSync(value: T, options?: { timeout?: number }): void {
    const timeout = timeoutOf(options);
    this.#checkWritable();
    withFrame(value, (frame, isOwn) => this.#sendNow(frame, isOwn, timeout));
  }

  /** Sends bytes as they are. They may be changed when the call has returned. Errors as of Connection. */
  override sendBytes(bytes: Uint8Array, options: WaitOptions = {}): Promise<void> {
    try {
      if (!(bytes instanceof Uint8Array))
        throw new TypeError(`Cannot send ${typeof bytes} as bytes: give a Uint8Array, or use send()`);
      checkWait(options);
      this.#checkWritable();
      return this.#sent(bytes, false, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Receives a value. Errors as of Connection.
   * @throws {SerializationError} The next message is bytes, and stays: recvBytes() receives it. Or it cannot be decoded here: then it has
   *   been taken out.
   */
  override recv(options: WaitOptions = {}): Promise<T> {
    return this.#received(options, -1) as Promise<T>;
  }

  /** The same, blocking this thread. @throws {SerializationError} Also if it refers to modules that must be awaited. */
  override recvSync(options?: { timeout?: number }): T {
    const timeout = timeoutOf(options);
    this.#checkOpen('receive from');
    const mailbox = this.#mailbox;
    if (!mailbox.isReady && !mailbox.socket.blockUntil(() => mailbox.isReady, timeout) && !mailbox.isReady)
      throw this.#late();
    return mailbox.takeValueNow() as T;
  }

  /** Receives a message as bytes, whatever it is. Errors as of Connection. */
  override recvBytes(options: WaitOptions & { maxLength?: number } = {}): Promise<Uint8Array> {
    try {
      return this.#received(options, checkMaxLength(options.maxLength)) as Promise<Uint8Array>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @hidden */
  override [IS_READY](): boolean {
    this.#checkOpen('receive from');
    return this.#mailbox.isReady;
  }

  /** @hidden */
  override [WATCH](watcher: Watcher): Watch {
    this.#checkOpen('receive from');
    return this.#mailbox.watch(watcher);
  }

  /**
   * This thread is done with it: what waits here ends with ClosedError. What was sent is sent still, and then the other end gets
   * EndOfFileError. A second call does nothing.
   */
  override close(): void {
    dropped.unregister(this.#mailbox);
    this.#mailbox.close();
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized, print: typeof inspect): string {
    if (this.closed) return `Connection ${options.stylize('<closed>', 'special')}`;
    if (depth < 0) return options.stylize('[Connection]', 'special');
    const { count: unread, socket } = this.#mailbox;
    return `Connection ${print({ readable: true, writable: true, unread, unsent: socket.buffered }, options)}`;
  }

  #checkOpen(act: string): void {
    if (this.#mailbox.isClosed) throw this.#mailbox.closed(act);
  }

  #checkWritable(): void {
    this.#checkOpen('send to');
    if (!this.#mailbox.socket.canSend) throw this.#mailbox.gone();
  }

  #sent(frame: Uint8Array, isOwn: boolean, options: WaitOptions): Promise<void> {
    const mailbox = this.#mailbox;
    if (mailbox.canSend(frame.length)) {
      mailbox.socket.send(frame, isOwn);
      return soon(undefined);
    }
    if (options.timeout === 0) throw this.#noRoom();
    const owned = isOwn ? frame : new Uint8Array(frame);
    return new Sender(this, mailbox, owned, options, () => this.#noRoom()).promise;
  }

  #sendNow(frame: Uint8Array, isOwn: boolean, timeout: number): void {
    const mailbox = this.#mailbox;
    const { socket } = mailbox;
    const deadline = performance.now() + timeout;
    const hasRoom = () => !socket.canSend || mailbox.canSend(frame.length);
    if (!hasRoom() && !socket.blockUntil(hasRoom, timeout) && socket.canSend) throw this.#noRoom();
    this.#checkWritable();
    socket.send(frame, isOwn);
    socket.flushSync(Math.max(0, deadline - performance.now()));
    this.#checkWritable();
  }

  #received(options: WaitOptions, most: number): Promise<unknown> {
    try {
      checkWait(options);
      this.#checkOpen('receive from');
      const mailbox = this.#mailbox;
      if (mailbox.isReady && mailbox.readers.size === 0) return soon(mailbox.take(most));
      if (options.timeout === 0) throw this.#late();
      return new Reader(this, mailbox.readers, most, options, () => this.#late()).promise;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  #late(): Error {
    return new TimeoutError(
      'Cannot receive from the connection as nothing came in time: send more, or wait longer',
    );
  }

  #noRoom(): Error {
    return new TimeoutError(
      'Cannot send to the connection as the other end did not receive enough in time: receive more, or wait longer',
    );
  }
}

registerRefusal(
  SocketConnection,
  () =>
    new Failure('this connection is over a socket, which is its thread’s', 'connect() where it is needed'),
);
