import type { FrameOwner } from '../channel/socket/frame-socket.js';
import { collectTickets, type Tickets } from '../channel/tickets.js';
import { decode, loadModules, needsModules } from '../codec/decode.js';
import type { EncodeIntoOptions } from '../codec/encode.js';
import { encodeThrown } from '../codec/errors.js';
import { ClosedError } from '../errors/errors.js';
import { type Call, type CallSource, type Client, runCall } from './call.js';
import { damaged, FrameReader, NOTHING, sendBytes, sendValue, TO_CLIENT, TO_SERVER } from './frames.js';
import type { Lender } from './lenders.js';
import { type Hello, VERSION, type Welcome } from './link.js';
import { Reference, readingFor, type Side } from './references.js';
import { asyncIterated } from './remote-iterator.js';
import { nameOfRemoteClass } from './remote-type.js';
import type { Entry, ServedType } from './table.js';
import type { Transport } from './transport.js';

/** What a client may have unread before it is not listened to any more, until it has read. */
const MOST_UNREAD = 1024 * 1024;

/** What a session has of its server. */
export interface Host {
  readonly id: string;
  readonly family: string;
  /** @throws {ClosedError} There is no such object any more. */
  entry(object: number): Entry;
  /** The object's entry if it is served; undefined: it crosses as a copy. */
  entryOf(object: object): Entry | undefined;
  addReference(entry: Entry): void;
  dropReference(entry: Entry): void;
  /** Drops the object if nobody has it any more and none of its methods runs. */
  settle(entry: Entry): void;
  lender(token: string): Lender;
  ended(session: Session): void;
}

/** A call that has not been answered. */
class Running implements Call {
  readonly client: Session;
  /** Has the method asked for the signal? Then it says how the call ends. */
  isWatched = false;
  hasEnded = false;
  #controller: AbortController | undefined;
  #lost: (() => void)[] | undefined;

  constructor(client: Session) {
    this.client = client;
  }

  get signal(): AbortSignal {
    this.isWatched = true;
    this.#controller ??= new AbortController();
    if (this.client.hasEnded) this.abort();
    return this.#controller.signal;
  }

  abort(): void {
    if (!this.#controller || this.#controller.signal.aborted) return;
    this.#controller.abort(
      new ClosedError('Cannot finish the call as its caller has given up: nothing need be done'),
    );
  }

  onLost(callback: () => void): void {
    this.#lost ??= [];
    this.#lost.push(callback);
  }

  lose(): void {
    for (const callback of this.#lost?.splice(0) ?? []) callback();
  }
}

const reader = new FrameReader();
const NO_ARGS: readonly unknown[] = [];

/**
 * A client's connection, on the server's side. Its calls begin in the order in which they came; those that have something to
 * await end when they do. What it has proxies of, lent and holds open goes with it.
 */
export class Session implements Client, CallSource, Side, FrameOwner {
  name = 'a client';
  isFamily = false;
  hasEnded = false;
  readonly #host: Host;
  #transport!: Transport;
  #isWelcome = false;
  #isFull = false;
  #lender: Lender | undefined;
  readonly #running = new Map<number, Running>();
  /** How many proxies it has of each. */
  readonly #held = new Map<Entry, number>();
  readonly #types = new Set<ServedType>();
  /** What results hold open that it has not received. */
  readonly #holding = new Map<number, Tickets>();
  #serial = 0;
  readonly #listeners = new Set<() => void>();
  /** What the result refers to that is being written. */
  #referred: Entry[] = [];
  #options: EncodeIntoOptions = { abroad: true };
  /** Frames that came while modules are loaded for one before them. */
  #backlog: Uint8Array[] | undefined;

  constructor(host: Host) {
    this.#host = host;
  }

  open(transport: Transport): void {
    this.#transport = transport;
    transport.resume();
  }

  onEnd(callback: () => void): () => void;
  onEnd(error?: Error): void;
  onEnd(given?: (() => void) | Error): (() => void) | undefined {
    if (typeof given !== 'function') {
      this.end();
      return undefined;
    }
    const listener = () => given();
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onDrain(): void {
    if (!this.#isFull || this.hasEnded || this.#transport.buffered > MOST_UNREAD / 2) return;
    this.#isFull = false;
    if (!this.#backlog) this.#transport.resume();
  }

  callOf(number: number): Call {
    let running = this.#running.get(number);
    if (!running) {
      running = new Running(this);
      this.#running.set(number, running);
    }
    return running;
  }

  onFrame(frame: Uint8Array): void {
    if (this.#backlog) this.#backlog.push(frame.slice());
    else this.#receive(frame);
  }

  /** Closes the connection once what was sent has gone. */
  close(): void {
    this.#transport.end();
    this.end();
  }

  end(): void {
    if (this.hasEnded) return;
    this.hasEnded = true;
    this.#backlog = undefined;
    const running = [...this.#running.values()];
    this.#running.clear();
    for (const call of running) call.abort();
    for (const listener of [...this.#listeners]) guarded(listener);
    this.#listeners.clear();
    for (const tickets of this.#holding.values()) tickets.release();
    this.#holding.clear();
    for (const [entry, count] of this.#held)
      for (let left = count; left > 0; left--) this.#host.dropReference(entry);
    this.#held.clear();
    this.#lender?.end();
    this.#host.ended(this);
  }

  resolve(object: number): object {
    const entry = this.#host.entry(object);
    entry.isKept = true; // by whatever it is given to
    return entry.object;
  }

  #receive(frame: Uint8Array): void {
    try {
      reader.open(frame);
      this.#take(reader.byte(), frame);
    } catch {
      // It is of another version, or means no good: there is no way to go on.
      this.#transport.close();
      this.end();
    }
  }

  #take(kind: number, frame: Uint8Array): void {
    if (!this.#isWelcome) {
      if (kind !== TO_SERVER.HELLO) throw damaged('it comes before the first');
      this.#welcome(decode(reader.rest()) as Hello);
      return;
    }
    switch (kind) {
      case TO_SERVER.CALL:
        this.#call(reader.number(), reader.number(), reader.number(), frame);
        break;
      case TO_SERVER.LEND: {
        const object = reader.number();
        const serial = reader.number();
        const entry = this.#find(object);
        if (entry) this.#lender?.lend(entry, serial);
        break;
      }
      case TO_SERVER.CLAIM: {
        const object = reader.number();
        const serial = reader.number();
        const token = reader.rest();
        this.#claim(object, serial, Buffer.from(token).toString());
        break;
      }
      case TO_SERVER.DROP:
        this.#drop(reader.number());
        break;
      case TO_SERVER.CANCEL:
        this.#cancel(reader.number());
        break;
      case TO_SERVER.RECEIVED: {
        const number = reader.number();
        this.#holding.get(number)?.release();
        this.#holding.delete(number);
        break;
      }
      default:
        throw damaged(`its kind is ${kind}`);
    }
  }

  #welcome({ version, family, token, name }: Hello): void {
    if (
      version !== VERSION ||
      typeof family !== 'string' ||
      typeof token !== 'string' ||
      typeof name !== 'string'
    )
      throw damaged('it is no greeting');
    this.#isWelcome = true;
    this.isFamily = family === this.#host.family;
    this.name = name;
    this.#lender = this.#host.lender(token);
    this.#lender.begin();
    this.#options = {
      root: 'result',
      abroad: !this.isFamily,
      replace: object => this.#referTo(object),
    };
    const welcome: Welcome = { server: this.#host.id, family: this.#host.family };
    sendValue(this.#transport, TO_CLIENT.WELCOME, welcome, undefined);
  }

  #call(number: number, object: number, method: number, frame: Uint8Array): void {
    const name = method === 0 ? reader.text(reader.number()) : '';
    const rest = reader.rest();
    if (rest.length > 0 && needsModules(rest)) {
      this.#load(number, rest.slice(), frame.slice());
      return;
    }
    let result: unknown;
    let entry: Entry;
    try {
      entry = this.#host.entry(object);
      const args = rest.length === 0 ? NO_ARGS : readingFor(this, decode, rest);
      if (!Array.isArray(args)) throw damaged('arguments are no array');
      result = runCall(this, number, entry.object, entry.type.methodOf(entry.object, method, name), args);
    } catch (error) {
      this.#running.delete(number);
      this.#throw(number, error);
      return;
    }
    if (isThenable(result)) this.#await(number, result, entry);
    else {
      const running = this.#running.size > 0 ? this.#running.get(number) : undefined;
      if (running) this.#running.delete(number);
      this.#answer(number, result, running);
    }
  }

  #await(number: number, result: PromiseLike<unknown>, entry: Entry): void {
    let running = this.#running.get(number);
    if (!running) {
      running = new Running(this);
      this.#running.set(number, running);
    }
    const call = running;
    entry.calls++;
    const settle = () => {
      entry.calls--;
      this.#host.settle(entry);
      if (this.#running.get(number) !== call) return false;
      this.#running.delete(number);
      return true;
    };
    result.then(
      value => {
        if (settle()) this.#answer(number, value, call);
        else call.lose();
      },
      error => {
        if (settle()) this.#throw(number, error);
      },
    );
  }

  /** Loads what the arguments of a call need. What came after it waits: calls begin in order. */
  #load(number: number, args: Uint8Array, frame: Uint8Array): void {
    this.#backlog = [];
    this.#transport.pause();
    const goOn = (first: () => void) => {
      const backlog = this.#backlog;
      this.#backlog = undefined;
      if (this.hasEnded || !backlog) return;
      first();
      for (const next of backlog) this.onFrame(next);
      if (!this.#isFull && !this.#backlog) this.#transport.resume();
    };
    loadModules(args).then(
      () => goOn(() => this.#receive(frame)),
      error => goOn(() => this.#throw(number, error)),
    );
  }

  #cancel(number: number): void {
    const running = this.#running.get(number);
    if (!running) return;
    if (running.isWatched) {
      running.abort();
      return;
    }
    this.#running.delete(number);
    sendValue(this.#transport, TO_CLIENT.CANCELLED, NOTHING, undefined, number);
  }

  #answer(number: number, value: unknown, running: Running | undefined): void {
    if (this.hasEnded || !this.#transport.canSend) {
      running?.lose();
      return;
    }
    if (value === undefined) {
      sendValue(this.#transport, TO_CLIENT.RESULT, NOTHING, undefined, number);
    } else if (typeof value !== 'object' || value === null) {
      if (typeof value === 'function') this.#answerObject(number, value, running);
      else sendValue(this.#transport, TO_CLIENT.RESULT, value, this.#options, number);
    } else {
      this.#answerObject(number, asyncIterated(value, this.#isServed), running);
    }
    this.#look();
  }

  #answerObject(number: number, value: unknown, running: Running | undefined): void {
    const before = this.#referred;
    this.#referred = [];
    try {
      const { tickets } = collectTickets(() => {
        sendValue(this.#transport, TO_CLIENT.RESULT, value, this.#options, number);
      });
      if (tickets) {
        this.#holding.set(++this.#serial, tickets);
        sendValue(this.#transport, TO_CLIENT.HOLDING, NOTHING, undefined, this.#serial);
      }
      for (const entry of this.#referred) this.#hold(entry);
    } catch (error) {
      for (const entry of this.#referred) this.#host.settle(entry);
      running?.lose();
      this.#throw(number, error);
    } finally {
      this.#referred = before;
    }
  }

  readonly #isServed = (object: object) => this.#host.entryOf(object) !== undefined;

  #throw(number: number, error: unknown): void {
    if (this.hasEnded || !this.#transport.canSend) return;
    sendBytes(this.#transport, TO_CLIENT.THROWN, encodeThrown(error), number);
    this.#look();
  }

  /** Who does not take its answers is not listened to. */
  #look(): void {
    if (this.#isFull || this.#transport.buffered <= MOST_UNREAD) return;
    this.#isFull = true;
    this.#transport.pause();
  }

  #referTo(object: object): Reference | undefined {
    const entry = this.#host.entryOf(object);
    if (!entry) return undefined;
    this.#referred.push(entry);
    const { type } = entry;
    if (!this.#types.has(type)) {
      this.#types.add(type);
      const { number, typeid, names, hidden, proxy } = type;
      const told = this.isFamily ? proxy : proxy && nameOfRemoteClass(proxy);
      sendValue(this.#transport, TO_CLIENT.TYPE, { number, typeid, names, hidden, proxy: told }, undefined);
    }
    return new Reference(entry.number, type.number);
  }

  #hold(entry: Entry): void {
    this.#held.set(entry, (this.#held.get(entry) ?? 0) + 1);
    this.#host.addReference(entry);
  }

  #claim(object: number, serial: number, token: string): void {
    const lender = this.#host.lender(token);
    const entry = this.#find(object);
    if (entry) this.#hold(entry);
    lender.claim(serial);
  }

  #find(object: number): Entry | undefined {
    try {
      return this.#host.entry(object);
    } catch {
      return undefined; // its calls will tell
    }
  }

  #drop(object: number): void {
    const entry = this.#find(object);
    const count = entry && this.#held.get(entry);
    if (!entry || !count) return;
    if (count === 1) this.#held.delete(entry);
    else this.#held.set(entry, count - 1);
    this.#host.dropReference(entry);
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
  );
}

function guarded(callback: () => void): void {
  try {
    callback();
  } catch (error) {
    process.nextTick(() => {
      throw error;
    });
  }
}
