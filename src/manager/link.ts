import { randomBytes } from 'node:crypto';
import { threadId } from 'node:worker_threads';
import { collectTickets, type Tickets } from '../channel/tickets.js';
import { decode, loadModules, needsModules } from '../codec/decode.js';
import type { EncodeIntoOptions } from '../codec/encode.js';
import { decodeThrown, decodeThrownAsync, joinStacks } from '../codec/errors.js';
import { ClosedError, SerializationError, TimeoutError } from '../errors/errors.js';
import { type Abortable, unwatchAbort, watchAbort } from '../wait/abort.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { type Address, placeOf } from './address.js';
import { FrameReader, NOTHING, sendBytes, sendValue, TO_CLIENT, TO_SERVER } from './frames.js';
import { Reference, readingFor, type Side } from './references.js';
import { RemoteObject } from './remote-object.js';
import { RemoteType, type TypeDescription } from './remote-type.js';
import type { Transport } from './transport.js';

/** How a client introduces itself. */
export interface Hello {
  readonly version: number;
  readonly family: string;
  /** A number of its own, by which others claim what it has lent. */
  readonly token: string;
  readonly name: string;
}

/** What it is answered. */
export interface Welcome {
  /** Which server it is: another one at the same address has another. */
  readonly server: string;
  readonly family: string;
}

export const VERSION = 1;

/** Object and type of the server itself, whose methods are those that managers call. */
export const ROOT = 0;

/** What a link is known to lead to, before it is there. */
export interface Destination {
  readonly address: Address;
  readonly key: Uint8Array;
  readonly family: string;
  /** Undefined: whichever is there. */
  readonly server?: string;
  /** Undefined: as the server says. */
  readonly isFamily?: boolean;
}

/** One whose answer has not come. */
class Pending implements Abortable {
  readonly link: Link;
  readonly number: number;
  resolve!: (value: unknown) => void;
  reject!: (reason: unknown) => void;
  /** Set by Error.captureStackTrace(). */
  declare stack: string;
  tickets: Tickets | null = null;
  signal: AbortSignal | undefined;
  timer: NodeJS.Timeout | undefined;
  /** Why it is to be given up, once it is. */
  given: { readonly reason: unknown } | undefined;

  constructor(link: Link, number: number) {
    this.link = link;
    this.number = number;
  }

  abort(reason: unknown): void {
    if (this.given) return;
    this.given = { reason };
    this.link.cancel(this.number);
  }

  /** Its answer has come, or never will. */
  end(): void {
    if (this.tickets) this.tickets.release();
    if (this.signal) unwatchAbort(this.signal, this);
    if (this.timer) clearTimeout(this.timer);
  }
}

const reader = new FrameReader();

/** What stands between a link's start and its connection: keeps frames for that. */
class Outbox implements Transport {
  readonly frames: Uint8Array[] = [];
  buffered = 0;
  onFrame = () => {};
  onEnd = () => {};
  onDrain = () => {};
  isReferenced = false;

  send(frame: Uint8Array): void {
    this.frames.push(frame.slice());
  }
  flushSync(): void {}
  pause(): void {}
  resume(): void {}
  ref(): void {
    this.isReferenced = true;
  }
  unref(): void {
    this.isReferenced = false;
  }
  close(): void {}
}

/**
 * A thread's connection to a manager's server. Calls are answered in any order; each has a number, which is used again when its answer
 * has come. It keeps the event loop alive as long as an answer is due.
 */
export class Link implements Side {
  readonly address: Address;
  readonly key: Uint8Array;
  readonly place: string;
  /** Settles when the server has said who it is. */
  readonly ready: Promise<void>;
  readonly token = randomBytes(12).toString('base64url');
  /** Finds the proxies' class for a type of which the server, in another program, knows no more than the name. */
  proxyFor: (typeid: string) => TypeDescription['proxy'] = () => undefined;

  #transport: Transport = new Outbox();
  #server: string | undefined;
  #isFamily: boolean;
  #isReady = false;
  #ended: ClosedError | undefined;
  #serial = 0;
  #count = 0;
  readonly #family: string;
  readonly #pending: (Pending | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #types = new Map<number, RemoteType>();
  readonly #onEnd: (link: Link) => void;
  #options: EncodeIntoOptions;
  #settleReady!: { resolve: () => void; reject: (reason: unknown) => void };

  /** `dial`: connects, and proves to have the key. */
  constructor(to: Destination, dial: () => Promise<Transport>, onEnd: (link: Link) => void) {
    this.address = to.address;
    this.key = to.key;
    this.place = placeOf(to.address);
    this.#family = to.family;
    this.#server = to.server;
    this.#isFamily = to.isFamily ?? false;
    this.#options = this.#encoding();
    this.#onEnd = onEnd;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.ready.catch(() => {}); // who waits for nothing but calls is told by these
    dial().then(
      transport => this.#open(transport),
      error => this.#end(error),
    );
  }

  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  /** Does it lead to a server of this program's family? Known when it is ready, or from the start. */
  get isFamily(): boolean {
    return this.#isFamily;
  }

  /** Undefined until it is ready, unless it was known. */
  get server(): string | undefined {
    return this.#server;
  }

  /** Calls a method by its number; 0: by its name. The arguments are encoded before this returns. */
  call(
    object: number,
    type: RemoteType | undefined,
    method: number,
    name: string,
    args: readonly unknown[],
    options?: WaitOptions,
  ): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#lost(type, method, name));
    return new Promise((resolve, reject) => {
      const pending = new Pending(this, this.#free.pop() ?? this.#pending.length);
      pending.resolve = resolve;
      pending.reject = reject;
      try {
        this.#start(pending, object, method, name, args, options);
      } catch (error) {
        this.#free.push(pending.number);
        if (pending.number >= this.#pending.length) this.#pending.push(undefined);
        reject(error);
      }
    });
  }

  #start(
    pending: Pending,
    object: number,
    method: number,
    name: string,
    args: readonly unknown[],
    options: WaitOptions | undefined,
  ): void {
    const { number } = pending;
    Error.captureStackTrace(pending, this.call);
    const timeout = timeoutOf(options);
    options?.signal?.throwIfAborted();
    if (args.length === 0)
      sendValue(this.#transport, TO_SERVER.CALL, NOTHING, undefined, number, object, method, name);
    else
      pending.tickets = collectTickets(() =>
        sendValue(this.#transport, TO_SERVER.CALL, args, this.#options, number, object, method, name),
      ).tickets;
    this.#pending[number] = pending;
    if (this.#count++ === 0) this.#transport.ref();
    if (options?.signal) {
      pending.signal = options.signal;
      watchAbort(options.signal, pending);
    }
    if (timeout !== Number.POSITIVE_INFINITY)
      pending.timer = setTimeout(
        () =>
          pending.abort(
            new TimeoutError(`Cannot finish a call at ${this.place} within ${timeout} ms: allow more time`),
          ),
        timeout,
      );
  }

  /** Tells the server that a call is given up. It is over when the server says so. */
  cancel(number: number): void {
    sendValue(this.#transport, TO_SERVER.CANCEL, NOTHING, undefined, number);
  }

  /** One proxy less stands for the object. */
  drop(object: number): void {
    if (!this.#ended) sendValue(this.#transport, TO_SERVER.DROP, NOTHING, undefined, object);
  }

  /** Has the object stay for whoever claims it by the number that this returns. The server is told before this returns, if it listens. */
  lend(object: number): number {
    const serial = ++this.#serial;
    sendValue(this.#transport, TO_SERVER.LEND, NOTHING, undefined, object, serial);
    this.#transport.flushSync();
    return serial;
  }

  /** Makes a proxy of an object that somebody lent. */
  claim(object: number, token: string, serial: number, description: TypeDescription): RemoteObject {
    let type = this.#types.get(description.number);
    if (!type) {
      type = this.#newType(description);
      this.#types.set(type.number, type);
    }
    if (!this.#ended) sendBytes(this.#transport, TO_SERVER.CLAIM, Buffer.from(token), object, serial);
    return type.makeProxy({ link: this, object, type });
  }

  /** Ends it: calls under way reject. */
  close(): void {
    this.#transport.close();
    this.#end(undefined);
  }

  /** In a process that has been forked: its parent's connection is not its own. */
  abandon(): void {
    this.#transport.close({ now: true });
    this.#ended = this.#closed('was that of a parent process');
    this.#onEnd(this);
  }

  resolve(object: number, number: number): object {
    const type = this.#types.get(number);
    if (!type)
      throw new SerializationError(`Cannot receive a proxy as its type ${number} is not known here`, {
        path: 'result',
      });
    return type.makeProxy({ link: this, object, type });
  }

  #newType(description: TypeDescription): RemoteType {
    const proxy = description.proxy ?? this.proxyFor(description.typeid);
    return new RemoteType({ ...description, proxy });
  }

  #encoding(): EncodeIntoOptions {
    return { root: 'args', abroad: !this.#isFamily, replace: object => this.#referTo(object) };
  }

  /** An object of this server's is itself over there. */
  #referTo(object: object): Reference | undefined {
    if (!(object instanceof RemoteObject)) return undefined;
    const origin = RemoteObject.originOf(object);
    return origin.link === this ? new Reference(origin.object, origin.type.number) : undefined;
  }

  #open(transport: Transport): void {
    if (this.#ended) {
      transport.close({ now: true });
      return;
    }
    const { frames, isReferenced } = this.#transport as Outbox;
    this.#transport = transport;
    transport.onFrame = frame => this.#receive(frame);
    transport.onEnd = error => this.#end(error);
    if (isReferenced || this.#server === undefined) transport.ref();
    else transport.unref();
    const hello: Hello = {
      version: VERSION,
      family: this.#family,
      token: this.token,
      name: `process ${process.pid}, thread ${threadId}`,
    };
    sendValue(transport, TO_SERVER.HELLO, hello, undefined);
    for (const frame of frames) transport.send(frame);
  }

  #receive(frame: Uint8Array): void {
    try {
      reader.open(frame);
      this.#take(reader.byte());
    } catch (error) {
      this.#transport.close({ now: true });
      this.#end(error);
    }
  }

  #take(kind: number): void {
    switch (kind) {
      case TO_CLIENT.RESULT:
        this.#succeed(reader.number(), reader.rest(), false);
        break;
      case TO_CLIENT.HOLDING_RESULT:
        this.#succeed(reader.number(), reader.rest(), true);
        break;
      case TO_CLIENT.THROWN:
        this.#fail(reader.number(), reader.rest());
        break;
      case TO_CLIENT.CANCELLED: {
        const pending = this.#finish(reader.number());
        pending?.reject(pending.given?.reason);
        break;
      }
      case TO_CLIENT.TYPE: {
        const type = this.#newType(decode(reader.rest()) as TypeDescription);
        this.#types.set(type.number, type);
        break;
      }
      case TO_CLIENT.WELCOME:
        this.#welcome(decode(reader.rest()) as Welcome);
        break;
    }
  }

  #welcome({ server, family }: Welcome): void {
    if (this.#server !== undefined && this.#server !== server) {
      this.#transport.close({ now: true });
      this.#end(new Error('another server has taken its place'));
      return;
    }
    this.#server = server;
    this.#isFamily = family === this.#family;
    this.#options = this.#encoding();
    this.#isReady = true;
    if (this.#count === 0) this.#transport.unref();
    this.#settleReady.resolve();
  }

  /** Takes a call off the list. Undefined: there is none. */
  #finish(number: number): Pending | undefined {
    const pending = this.#pending[number];
    if (!pending) return undefined;
    this.#pending[number] = undefined;
    this.#free.push(number);
    if (--this.#count === 0) this.#transport.unref();
    pending.end();
    return pending;
  }

  #succeed(number: number, bytes: Uint8Array, holds: boolean): void {
    if (needsModules(bytes)) {
      const copy = bytes.slice();
      loadModules(copy).then(
        () => this.#deliver(number, copy, holds),
        error => this.#finish(number)?.reject(error),
      );
    } else this.#deliver(number, bytes, holds);
  }

  #deliver(number: number, bytes: Uint8Array, holds: boolean): void {
    const pending = this.#finish(number);
    if (!pending) return;
    try {
      pending.resolve(bytes.length === 0 ? undefined : readingFor(this, decode, bytes));
    } catch (error) {
      pending.reject(error);
    } finally {
      if (holds && !this.#ended)
        sendValue(this.#transport, TO_SERVER.RECEIVED, NOTHING, undefined, number);
    }
  }

  #fail(number: number, bytes: Uint8Array): void {
    const pending = this.#finish(number);
    if (!pending) return;
    const reject = (error: unknown) => {
      if (pending.given) {
        pending.reject(pending.given.reason);
        return;
      }
      joinStacks(error, pending.stack);
      pending.reject(error);
    };
    if (needsModules(bytes)) decodeThrownAsync(bytes).then(({ value }) => reject(value));
    else reject(readingFor(this, decodeThrown, bytes));
  }

  #closed(why: string): ClosedError {
    return new ClosedError(
      `Cannot use the manager at ${this.place} as its server ${why}: connect() to one that runs`,
    );
  }

  #lost(type: RemoteType | undefined, method: number, name: string): ClosedError {
    const what = `${type ? `${type.typeid}.` : ''}${name || type?.names[method - 1]}()`;
    return new ClosedError(
      `Cannot call ${what} as the manager's server at ${this.place} has ended, or the connection to it: connect() to one that runs`,
      { cause: this.#ended?.cause },
    );
  }

  #end(error: unknown): void {
    if (this.#ended) return;
    this.#ended = new ClosedError(
      `Cannot use the manager at ${this.place} as its server has ended, or the connection to it: connect() to one that runs`,
      error === undefined ? {} : { cause: error },
    );
    this.#onEnd(this);
    this.#settleReady.reject(error instanceof Error && !this.#isReady ? error : this.#ended);
    if (this.#count > 0) this.#transport.unref();
    this.#count = 0;
    for (const pending of this.#pending.splice(0)) {
      if (!pending) continue;
      pending.end();
      if (pending.given) pending.reject(pending.given.reason);
      else {
        const closed = new ClosedError(this.#ended.message, { cause: error });
        joinStacks(closed, pending.stack);
        pending.reject(closed);
      }
    }
  }
}
