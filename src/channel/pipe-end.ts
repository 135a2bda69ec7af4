import { type InspectOptionsStylized, inspect } from 'node:util';
import { registerHandle } from '../codec/handles.js';
import {
  ClosedError,
  EndOfFileError,
  LifecycleError,
  SerializationError,
  TimeoutError,
} from '../errors/errors.js';
import type { CellHandle } from '../sync/cell.js';
import { checkWait, timeoutOf, type WaitOptions } from '../wait/options.js';
import { Connection, checkMaxLength } from './connection.js';
import { type Exchange, OUTCOME, type Outcome } from './exchange.js';
import { type Explain, put, putSync, take, takeSync } from './handover.js';
import { pack, packBytes } from './item.js';
import { borrow, giveBack, INLINE_BYTES, type Parcel } from './parcel.js';
import { issueTicket } from './tickets.js';
import { IS_READY, WATCH, type Watch, type Watcher } from './waitable.js';
import { Wire } from './wire.js';

const { NOT_NOW, NEVER, GONE } = OUTCOME;
const LONGEST = 2 ** 31 - 1;

/**
 * An end of a pipe: messages sent here are received at the other end, in order. Pipe() makes both.
 *
 * A message is anything that can cross (docs/values.md), connections included, or bytes as they are. What is sent is in shared memory
 * when `send` resolves: it outlives its sender. Up to 16 MiB of each direction may lie unread; then `send` waits. A longer
 * message goes in when nothing else is there.
 *
 * Who has it: an end may be had by several threads and processes, each of which closes its own. Those who send to the same end, or
 * receive from it, take turns message by message; who waits is called in order of arrival. An end is gone when all who had it
 * have closed it, dropped it, or ended, killed or not, and it is on its way to nobody. What came from it can still be received then:
 * after that the other end gets EndOfFileError, and what is sent to it, ClosedError.
 *
 * Death: who is killed sending leaves whole messages only; who is killed receiving takes at most that message along.
 *
 * Python: `multiprocessing.connection.Connection`, where two who receive at once break messages, a full pipe holds 64 KiB, and
 * an end is gone only when every process that happens to have inherited it has closed it.
 */
export class PipeEnd<T = any> extends Connection<T> {
  /** @internal The pipe that this is an end of. */
  readonly wire: Wire;
  /** @internal 0 or 1. */
  readonly end: number;
  readonly #incoming: Exchange;
  readonly #outgoing: Exchange;
  /** Can it receive? */
  override readonly readable: boolean;
  /** Can it send? */
  override readonly writable: boolean;
  #isClosed = false;
  /** Bytes of the last long message: the next one may be like it. */
  #guess = 0;

  /** @internal */
  private constructor(wire: Wire, end: number, isOpen: boolean) {
    super();
    this.wire = wire;
    this.end = end;
    this.#incoming = wire.to(end);
    this.#outgoing = wire.to(1 - end);
    this.readable = wire.isDuplex || end === 0;
    this.writable = wire.isDuplex || end === 1;
    this.#isClosed = !isOpen;
    if (isOpen) wire.hasObject(end, this);
  }

  /** @internal This thread's object for an end that it holds. */
  static of<T>(wire: Wire, end: number): PipeEnd<T> {
    return new PipeEnd(wire, end, true);
  }

  /** @internal How it is named to another thread. */
  static out(connection: PipeEnd): Sent {
    const wire = connection.wire;
    const end = connection.end;
    if (connection.#isClosed) throw connection.#closed('send');
    const handle = wire.passOn();
    return [handle, end, wire.isDuplex, issueTicket(wire.lifeline, end)];
  }

  /** @internal */
  static back([handle, end, isDuplex, serial]: Sent): PipeEnd {
    const wire = Wire.at(handle, isDuplex);
    if (!wire.cell.isThere || !wire.lifeline.join(end, serial)) return new PipeEnd(wire, end, false);
    return (wire.objectFor(end) as PipeEnd | undefined) ?? PipeEnd.of(wire, end);
  }

  /** Has this thread closed it? */
  override get closed(): boolean {
    return this.#isClosed;
  }

  /**
   * Sends a message. When this resolves it is safe. In line by the time the call returns, if it has to wait.
   * @throws {SerializationError} It cannot cross; nothing was sent.
   * @throws {TimeoutError} There was no room when `timeout` had passed; nothing was sent.
   * @throws {ClosedError} The other end is gone, or this one was closed.
   * @throws {LifecycleError} It only receives.
   * @throws {OutOfMemoryError} There is no memory for it, even though nothing else is unread.
   */
  override send(value: T, options?: WaitOptions): Promise<void> {
    try {
      checkWait(options);
      return put(this.#outgoing, this.#packed(value), options, this.#notSent);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The same, blocking this thread. */
  override sendSync(value: T, options?: { timeout?: number }): void {
    const timeout = timeoutOf(options);
    putSync(this.#outgoing, this.#packed(value), timeout, this.#notSent);
  }

  /**
   * Sends bytes as they are: as one message, which may be empty. recvBytes() gives them back; so does recv(), as a Uint8Array.
   * Errors as of send().
   * @throws {TypeError} They are no Uint8Array.
   */
  override sendBytes(bytes: Uint8Array, options?: WaitOptions): Promise<void> {
    try {
      checkWait(options);
      return put(this.#outgoing, this.#wrapped(bytes), options, this.#notSent);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /**
   * Receives a message: a value, or, if it was sent by sendBytes(), a Uint8Array. In line by the time the call returns, if it has
   * to wait.
   * @throws {TimeoutError} There was none when `timeout` had passed.
   * @throws {EndOfFileError} There is none, and never will be: the other end is gone.
   * @throws {SerializationError} It cannot be decoded here; it has been taken out of the pipe.
   * @throws {ClosedError} This end was closed.
   * @throws {LifecycleError} It only sends.
   */
  override recv(options?: WaitOptions): Promise<T> {
    try {
      checkWait(options);
      this.#checkReadable();
      return take(this.#incoming, options, this.#notReceived) as Promise<T>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** The same, blocking this thread. @throws {SerializationError} Also if it refers to modules that must be awaited. */
  override recvSync(options?: { timeout?: number }): T {
    const timeout = timeoutOf(options);
    this.#checkReadable();
    return takeSync(this.#incoming, timeout, this.#notReceived) as T;
  }

  /**
   * Receives a message that was sent by sendBytes(), whole. Errors as of recv().
   * @throws {RangeError} It is longer than `maxLength`: it stays in the pipe.
   * @throws {SerializationError} The next message is a value, and stays in the pipe: recv() receives it.
   */
  override recvBytes(options?: WaitOptions & { maxLength?: number }): Promise<Uint8Array> {
    try {
      checkWait(options);
      this.#checkReadable();
      const most = Math.min(checkMaxLength(options?.maxLength), LONGEST);
      return take(this.#incoming, options, this.#notReceived, most) as Promise<Uint8Array>;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @hidden */
  override [IS_READY](): boolean {
    this.#checkReadable();
    return this.#incoming.isReadable();
  }

  /** @hidden */
  override [WATCH](watcher: Watcher): Watch {
    this.#checkReadable();
    return this.#incoming.watch(watcher);
  }

  /** This thread is done with it: what waits here ends with ClosedError. Others who have it go on. A second call does nothing. */
  override close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const reason = () => this.#closed('use');
    this.#incoming.failWaits(reason, 'get');
    this.#outgoing.failWaits(reason, 'put');
    this.wire.letGo(this.end);
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized, print: typeof inspect): string {
    if (this.#isClosed) return `Connection ${options.stylize('<closed>', 'special')}`;
    if (depth < 0) return options.stylize('[Connection]', 'special');
    const { readable, writable } = this;
    return `Connection ${print(readable ? { readable, writable, unread: this.#incoming.count } : { readable, writable }, options)}`;
  }

  #checkReadable(): void {
    if (this.#isClosed) throw this.#closed('receive from');
    if (!this.readable)
      throw new LifecycleError(
        `Cannot receive from ${this.#name()} as its pipe goes the other way: use the first of what Pipe() gave`,
      );
  }

  #checkWritable(): void {
    if (this.#isClosed) throw this.#closed('send to');
    if (!this.writable)
      throw new LifecycleError(
        `Cannot send to ${this.#name()} as its pipe goes the other way: use the second of what Pipe() gave`,
      );
    if (this.wire.lifeline.isGone(1 - this.end)) throw this.#notSent(NEVER);
  }

  #packed(value: T): Parcel {
    this.#checkWritable();
    const { space } = this.#outgoing;
    const parcel = borrow();
    try {
      pack(value, parcel, space, this.#guess);
      parcel.tickets?.withdraw(this.wire.lifeline, 1 - this.end);
    } catch (error) {
      giveBack(parcel, space);
      throw error;
    }
    this.#guess = parcel.length > INLINE_BYTES ? parcel.length : 0;
    return parcel;
  }

  #wrapped(bytes: Uint8Array): Parcel {
    if (!(bytes instanceof Uint8Array))
      throw new TypeError(`Cannot send ${typeof bytes} as bytes: give a Uint8Array, or use send()`);
    this.#checkWritable();
    const parcel = borrow();
    packBytes(bytes, parcel, this.#outgoing.space);
    parcel.raw = true;
    return parcel;
  }

  #name(): string {
    return `Connection ${this.wire.cell.blocks[0]}.${this.end}`;
  }

  #closed(act: string): ClosedError {
    return new ClosedError(
      `Cannot ${act} ${this.#name()} as this thread has closed it, or was given it too late: close it when you are done`,
    );
  }

  readonly #notSent = (outcome: Outcome): Error => {
    if (this.#isClosed || outcome === GONE) return this.#closed('send to');
    if (outcome === NEVER)
      return new ClosedError(
        `Cannot send to ${this.#name()} as the other end is gone: all who had it have closed it or ended`,
      );
    return new TimeoutError(
      `Cannot send to ${this.#name()} as there was no room in time: receive more, or wait longer`,
    );
  };

  readonly #notReceived: Explain = (outcome, parcel, most) => {
    if (this.#isClosed || outcome === GONE) return this.#closed('receive from');
    if (outcome === NEVER)
      return new EndOfFileError(
        `Cannot receive from ${this.#name()} as the other end is gone and nothing is left: stop receiving`,
      );
    if (outcome === NOT_NOW)
      return new TimeoutError(
        `Cannot receive from ${this.#name()} as nothing came in time: send more, or wait longer`,
      );
    if (parcel.raw)
      return new RangeError(
        `Cannot receive a message of ${parcel.length} bytes from ${this.#name()} as "maxLength" is ${most}: allow as much`,
      );
    return new SerializationError(
      `Cannot receive bytes from ${this.#name()} as the next message is a value: use recv()`,
      { path: 'message' },
    );
  };
}

/** The pipe, which end, whether it goes both ways, and the number of the ticket. */
type Sent = readonly [pipe: CellHandle, end: number, isDuplex: boolean, serial: number];

registerHandle<PipeEnd, Sent>('Connection', PipeEnd as never, PipeEnd.out, PipeEnd.back);
