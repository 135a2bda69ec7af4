import { EndOfFileError } from '../errors/errors.js';
import type { WaitOptions } from '../wait/options.js';
import type { Channel } from './queue.js';
import { wait } from './wait.js';
import { IS_READY, WATCH, type Waitable, type Watch, type Watcher } from './waitable.js';

const NOW: WaitOptions = { timeout: 0 };

/**
 * An end of something that carries messages both ways, or one way: of a pipe ({@link Pipe | Pipe()}), or of a socket
 * ({@link connect | connect()}, {@link Listener}). What is sent here is received at the other end, in order.
 *
 * A message is a value, or bytes as they are. Waits are in line by the time their call returns, and have their turn in the order
 * in which they came; one that gives up leaves nothing behind, and loses no message.
 *
 * Python: `multiprocessing.connection.Connection`.
 */
export abstract class Connection<T = any> implements Channel<T>, Waitable {
  /** Can it receive? */
  abstract readonly readable: boolean;
  /** Can it send? */
  abstract readonly writable: boolean;
  /** Has this thread closed it? */
  abstract get closed(): boolean;

  /**
   * Sends a message.
   * @throws {SerializationError} It cannot cross; nothing was sent.
   * @throws {TimeoutError} There was no room when `timeout` had passed; nothing was sent.
   * @throws {ClosedError} The other end is gone, or this one was closed.
   */
  abstract send(value: T, options?: WaitOptions): Promise<void>;
  /** {@link send | send()}, blocking this thread. */
  abstract sendSync(value: T, options?: { timeout?: number }): void;
  /** Sends bytes as they are: as one message, which may be empty. @throws {TypeError} They are no Uint8Array. */
  abstract sendBytes(bytes: Uint8Array, options?: WaitOptions): Promise<void>;
  /**
   * Receives a message.
   * @throws {TimeoutError} There was none when `timeout` had passed.
   * @throws {EndOfFileError} There is none, and never will be: the other end is gone.
   * @throws {SerializationError} It cannot be decoded here.
   * @throws {ClosedError} This end was closed.
   */
  abstract recv(options?: WaitOptions): Promise<T>;
  /** {@link recv | recv()}, blocking this thread. @throws {SerializationError} Also if it refers to modules that must be awaited. */
  abstract recvSync(options?: { timeout?: number }): T;
  /** Receives a message as bytes, whole. @throws {RangeError} It is longer than `maxLength`: it stays where it is. */
  abstract recvBytes(options?: WaitOptions & { maxLength?: number }): Promise<Uint8Array>;
  /** This thread is done with it: what waits here ends with ClosedError. A second call does nothing. */
  abstract close(): void;
  /** @hidden */
  abstract [IS_READY](): boolean;
  /** @hidden */
  abstract [WATCH](watcher: Watcher): Watch;

  /**
   * Is there a message to receive? Nothing is received by it. True at the end of file as well, when recv() would not wait either.
   * Without `timeout`, it does not wait.
   * @throws {ClosedError} This end was closed.
   * @throws {LifecycleError} It only sends.
   */
  async poll(options: WaitOptions = NOW): Promise<boolean> {
    const { timeout = 0, signal } = options;
    return (await wait([this], { timeout, signal })).length > 0;
  }

  /** The same as {@link close | close()}. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Each message as it comes, until the other end is gone and nothing is left. */
  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      let message: T;
      try {
        message = await this.recv();
      } catch (error) {
        if (error instanceof EndOfFileError) return;
        throw error;
      }
      yield message;
    }
  }
}

/** The longest message that is meant by a `maxLength`, which may be absent. @throws {TypeError | RangeError} */
export function checkMaxLength(maxLength: number | undefined): number {
  if (maxLength === undefined) return Number.POSITIVE_INFINITY;
  if (typeof maxLength !== 'number')
    throw new TypeError(`Cannot use ${typeof maxLength} as "maxLength": give a number of bytes`);
  if (!(maxLength >= 0)) throw new RangeError(`Cannot use ${maxLength} as "maxLength": give 0 or more bytes`);
  return maxLength;
}
