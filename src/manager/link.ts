import { randomBytes } from 'node:crypto';
import { threadId } from 'node:worker_threads';
import { type Address, addressText } from '../channel/socket/address.js';
import type { FrameSocket } from '../channel/socket/frame-socket.js';
import { collectTickets, type Tickets } from '../channel/tickets.js';
import { decode, loadModules, needsModules } from '../codec/decode.js';
import type { EncodeIntoOptions } from '../codec/encode.js';
import { decodeThrown, decodeThrownAsync, joinStacks } from '../codec/errors.js';
import { Failure } from '../codec/path.js';
import { ClosedError, SerializationError, TimeoutError } from '../errors/errors.js';
import { type Abortable, unwatchAbort, watchAbort } from '../wait/abort.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { FrameReader, NOTHING, sendBytes, sendValue, TO_CLIENT, TO_SERVER } from './frames.js';
import { Reference, readingFor, type Side } from './references.js';
import { type Held, type RemoteClass, RemoteObject } from './remote-object.js';
import { RemoteType, remoteClassOf, type TypeDescription } from './remote-type.js';
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

/** Why a call failed, before its stack shows who awaits it: a value was thrown over there, or the connection was lost. */
class Thrown {
  constructor(
    readonly value: unknown,
    readonly lost: boolean,
  ) {}
}

/** A stack without its first frame, which is this library's. */
function withoutFirst(stack = ''): string {
  const lines = stack.split('\n');
  lines.splice(1, 1);
  return lines.join('\n');
}

/** One whose answer has not come. */
class Pending implements Abortable {
  readonly link: Link;
  readonly number: number;
  readonly resolve: (value: unknown) => void;
  readonly reject: (reason: unknown) => void;
  tickets: Tickets | null = null;
  signal: AbortSignal | undefined;
  timer: NodeJS.Timeout | undefined;
  /** Why it is to be given up, once it is. */
  given: { readonly reason: unknown } | undefined;

  constructor(
    link: Link,
    number: number,
    resolve: (value: unknown) => void,
    reject: (reason: unknown) => void,
  ) {
    this.link = link;
    this.number = number;
    this.resolve = resolve;
    this.reject = reject;
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

function newToken(): string {
  return randomBytes(12).toString('base64url');
}

const reader = new FrameReader();

/** What stands between a link's start and its connection: keeps frames for that. */
class Outbox implements Transport {
  readonly frames: Uint8Array[] = [];
  readonly buffered = 0;
  readonly canSend = true;

  send(frame: Uint8Array): void {
    this.frames.push(frame.slice());
  }
  ref(): void {}
  unref(): void {}
  endTurn(): void {}
  pause(): void {}
  resume(): void {}
  end(): void {}
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
  /** By this others claim what it has lent. */
  token: string = newToken();
  /** Finds the proxies' class for a type of which the server, in another program, knows no more than the name. */
  proxyFor: (typeid: string) => RemoteClass | undefined = () => undefined;

  #transport: Transport = new Outbox();
  #server: string | undefined;
  #isFamily: boolean;
  #isReady = false;
  #ended: ClosedError | undefined;
  #serial = 0;
  #attempt = 0;
  #count = 0;
  /** Results whose modules are being loaded. */
  #loading: Promise<unknown> | undefined;
  readonly #family: string;
  readonly #pending: (Pending | undefined)[] = [];
  readonly #free: number[] = [];
  readonly #types = new Map<number, RemoteType>();
  readonly #proxies = new Set<Held>();
  readonly #dial: () => Promise<FrameSocket>;
  readonly #onEnd: (link: Link) => void;
  #options: EncodeIntoOptions;
  #settleReady!: { resolve: () => void; reject: (reason: unknown) => void };

  /** How many managers of this thread use it. */
  managers = 0;

  /** `dial`: connects, and proves to have the key. */
  constructor(to: Destination, dial: () => Promise<FrameSocket>, onEnd: (link: Link) => void) {
    this.address = to.address;
    this.key = to.key;
    this.place = addressText(to.address);
    this.#family = to.family;
    this.#server = to.server;
    this.#isFamily = to.isFamily ?? false;
    this.#options = this.#encoding();
    this.#onEnd = onEnd;
    this.ready = new Promise((resolve, reject) => {
      this.#settleReady = { resolve, reject };
    });
    this.ready.catch(() => {}); // who waits for nothing but calls is told by these
    this.#dial = dial;
    this.#connect();
  }

  #connect(): void {
    const attempt = ++this.#attempt;
    this.#dial().then(
      transport => {
        if (attempt === this.#attempt) this.#open(transport);
      },
      error => {
        if (attempt === this.#attempt) this.#end(error); // else it was for the process that this one is a fork of
      },
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

  /**
   * Calls a method by its number; 0: by its name. The arguments are encoded before this returns.
   *
   * The local part of a thrown error's stack is that of who awaits the call. To note each call's own would take ten times as long
   * as all else that is done for it here.
   */
  async call(
    object: number,
    type: RemoteType | undefined,
    method: number,
    name: string,
    args: readonly unknown[],
    options?: WaitOptions,
  ): Promise<unknown> {
    if (this.#ended) throw this.#lost(type, method, name);
    try {
      return await new Promise((resolve, reject) => {
        const pending = new Pending(this, this.#free.pop() ?? this.#pending.length, resolve, reject);
        try {
          this.#start(pending, object, method, name, args, options);
        } catch (error) {
          this.#pending[pending.number] = undefined;
          this.#free.push(pending.number);
          reject(error);
        }
      });
    } catch (error) {
      if (!(error instanceof Thrown)) throw error;
      const thrown = error.lost ? this.#lost(type, method, name) : error.value;
      joinStacks(thrown, withoutFirst(new Error('call').stack));
      throw thrown;
    }
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
    this.#tell(TO_SERVER.CANCEL, number);
  }

  hasProxy(proxy: Held): void {
    this.#proxies.add(proxy);
  }

  /** A proxy less stands for its object. */
  letGo(proxy: Held): void {
    this.#proxies.delete(proxy);
    this.#tell(TO_SERVER.DROP, proxy.object);
  }

  #tell(what: number, number: number): void {
    if (!this.#ended && this.#transport.canSend) sendValue(this.#transport, what, NOTHING, undefined, number);
  }

  /** Has the object stay for whoever claims it by the number that this returns. The server is told before this returns, if it listens. */
  lend(object: number): number {
    const serial = ++this.#serial;
    if (this.#ended || !this.#transport.canSend)
      throw new Failure('its server has ended, or the connection to it', 'send a proxy of one that runs');
    sendValue(this.#transport, TO_SERVER.LEND, NOTHING, undefined, object, serial);
    this.#transport.endTurn();
    return serial;
  }

  /** Makes a proxy of an object that somebody lent. */
  claim(object: number, token: string, serial: number, description: TypeDescription): RemoteObject {
    let type = this.#types.get(description.number);
    if (!type) {
      type = this.#newType(description);
      this.#types.set(type.number, type);
    }
    if (!this.#ended && this.#transport.canSend) this.#claim(object, token, serial);
    return type.makeProxy({ link: this, object, type });
  }

  #claim(object: number, token: string, serial: number): void {
    sendBytes(this.#transport, TO_SERVER.CLAIM, Buffer.from(token), object, serial);
  }

  /** Ends it: calls under way reject. */
  close(): void {
    this.#transport.end();
    this.#end(undefined);
  }

  /** Before this process forks: what is to be done in the child, which has a connection of its own, and the same proxies. */
  bequeath(): () => void {
    const { token } = this;
    const lent =
      this.#ended || !this.#transport.canSend
        ? []
        : [...this.#proxies].map(proxy => ({ proxy, serial: this.lend(proxy.object) }));
    return () => {
      if (this.#ended) return;
      this.#pending.length = this.#free.length = this.#count = 0;
      this.token = newToken();
      this.#transport = new Outbox();
      for (const { proxy, serial } of lent) this.#claim(proxy.object, token, serial);
      this.#connect();
    };
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
    return new RemoteType({
      ...description,
      proxy: remoteClassOf(description.proxy) ?? this.proxyFor(description.typeid),
    });
  }

  #encoding(): EncodeIntoOptions {
    return { root: 'args', abroad: !this.#isFamily, replace: object => this.#referTo(object) };
  }

  /** An object of this server's is itself over there. */
  #referTo(object: object): Reference | undefined {
    if (!(object instanceof RemoteObject)) return undefined;
    const held = RemoteObject.heldBy(object);
    return held.isHeld && held.link === this ? new Reference(held.object, held.type.number) : undefined;
  }

  #open(transport: FrameSocket): void {
    if (this.#ended) {
      transport.close();
      return;
    }
    const { frames } = this.#transport as Outbox;
    this.#transport = transport;
    transport.owner = {
      onFrame: frame => this.#receive(frame),
      onEnd: error => this.#end(error),
    };
    transport.ref(); // until it is welcome
    const hello: Hello = {
      version: VERSION,
      family: this.#family,
      token: this.token,
      name: `process ${process.pid}, thread ${threadId}`,
    };
    sendValue(transport, TO_SERVER.HELLO, hello, undefined);
    for (const frame of frames) transport.send(frame, true);
    transport.resume();
  }

  #receive(frame: Uint8Array): void {
    try {
      reader.open(frame);
      this.#take(reader.byte());
    } catch (error) {
      this.#transport.close();
      this.#end(error);
    }
  }

  #take(kind: number): void {
    switch (kind) {
      case TO_CLIENT.RESULT:
        this.#succeed(reader.number(), reader.rest());
        break;
      case TO_CLIENT.HOLDING: {
        const serial = reader.number();
        if (this.#loading) this.#loading.then(() => this.#tell(TO_SERVER.RECEIVED, serial));
        else this.#tell(TO_SERVER.RECEIVED, serial);
        break;
      }
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
      this.#transport.close();
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

  #succeed(number: number, bytes: Uint8Array): void {
    if (bytes.length > 0 && needsModules(bytes)) {
      const copy = bytes.slice();
      const loading = loadModules(copy).then(
        () => this.#deliver(number, copy),
        error => this.#finish(number)?.reject(error),
      );
      this.#loading = Promise.all([this.#loading, loading]);
    } else this.#deliver(number, bytes);
  }

  #deliver(number: number, bytes: Uint8Array): void {
    const pending = this.#finish(number);
    if (!pending) return;
    try {
      pending.resolve(bytes.length === 0 ? undefined : readingFor(this, decode, bytes));
    } catch (error) {
      pending.reject(error);
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
      pending.reject(new Thrown(error, false));
    };
    if (needsModules(bytes)) decodeThrownAsync(bytes).then(({ value }) => reject(value));
    else reject(readingFor(this, decodeThrown, bytes));
  }

  #lost(type: RemoteType | undefined, method: number, name: string): ClosedError {
    const what = `${type ? `${type.typeid}.` : ''}${name || type?.names[method - 1]}()`;
    return new ClosedError(
      `Cannot call ${what} as the manager's server at ${this.place} has ended, or the connection to it: connect() to one that runs`,
      this.#ended?.cause === undefined ? {} : { cause: this.#ended.cause },
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
      pending.reject(pending.given ? pending.given.reason : new Thrown(undefined, true));
    }
  }
}
