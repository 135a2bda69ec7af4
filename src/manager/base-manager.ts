import path from 'node:path';
import type { Connection } from '../channel/connection.js';
import { Pipe } from '../channel/pipe.js';
import { type Address, addressText, checkAddress } from '../channel/socket/address.js';
import { credentialsOf } from '../channel/socket/credentials.js';
import { decodeThrown, joinStacks } from '../codec/errors.js';
import { ClosedError, EndOfFileError, LifecycleError } from '../errors/errors.js';
import { givenAuthkey } from '../memory/authkey.js';
import { loadAhead } from '../process/cradle.js';
import type { Process } from '../process/process.js';
import { Servant } from '../process/servant.js';
import { bornWith } from '../process/server.js';
import type { StartMethod } from '../process/start-method.js';
import { portable, type Target } from '../process/target.js';
import { checkWait, type WaitOptions } from '../wait/options.js';
import { type Link, ROOT } from './link.js';
import { linkTo, refuseToCross } from './links.js';
import { makePrivateSocket, removeAtExit, removePrivateSocket } from './private-folder.js';
import { type Factory, register, registrationsOf, servingBy } from './registry.js';
import type { ServedOptions } from './served.js';
import { ManagerServer } from './server.js';
import type { Report, ServerSettings } from './server-main.js';

/** How long a server may take to end in order, ms, before it is killed. */
const GRACE = 3000;

/** Where the server of a manager is, and which key it asks for. */
export interface ManagerOptions {
  /**
   * Where the server is to listen, or listens: the path of a Unix socket, or host and port; port 0 has the system choose. Default: a
   * Unix socket in a folder that only this user can look into.
   */
  address?: Address;
  /** The key that both sides must have. Default: that of the program; servers that listen to a network need one of their own. */
  authkey?: Uint8Array;
}

/** A server in the program itself. */
export interface Server {
  /** Listens, and resolves when it has stopped. */
  serveForever(): Promise<void>;
  /** Resolves once it listens; `address` of the manager says where. */
  ready(): Promise<void>;
  /** Stops to listen, hangs up on all clients, and lets go of all objects; resolves when that is done. */
  stop(): Promise<void>;
}

type Methods<T> = {
  readonly [M in keyof T as T[M] extends (...args: any[]) => any ? M : never]: T[M] extends (
    ...args: infer A
  ) => infer R
    ? (...args: A) => Promise<Awaited<R>>
    : never;
};

/** Of an object of which no more is known. */
type AnyMethods = { readonly [name: string]: (...args: any[]) => Promise<any> } & { readonly then?: never };

/** Each method of T, async. Results are copies; a result that is itself served comes back as a proxy. */
export type RemoteProxy<T> = (0 extends 1 & T ? AnyMethods : Methods<T>) & AsyncDisposable;

const MAIN = { module: path.join(__dirname, 'server-main.js'), export: 'serveManager' };
bornWith(MAIN.module);
loadAhead(path.join(__dirname, 'links.js'));

/** What a manager is: each but the last leads to the last. */
type State = 'new' | 'starting' | 'started' | 'connected' | 'serving' | 'shut down';

const IS: Record<State, string> = {
  new: 'has neither started nor connected',
  starting: 'is being started or connected',
  started: 'has started',
  connected: 'is connected',
  serving: 'serves in this program',
  'shut down': 'was shut down',
};

/**
 * Objects that live in a server, which is a process of its own, or part of another program, perhaps on another machine. Here one holds
 * proxies of them, whose methods are async.
 *
 * The server: runs the methods on its one event loop. Calls of one connection begin in the order in which they were made, and may all be
 * under way at the same time: what has something to await does not hold up the others.
 * Connections: every thread that uses a manager or its proxies has one, made when it is first needed.
 * Life: an object lives as long as somebody has a proxy of it, or it is on its way to somebody.
 * Security: who has the key can do anything in the server, since functions cross. Nothing that comes before the proof of it is read as a
 * value.
 *
 * Python: `multiprocessing.managers.BaseManager`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { BaseManager } from 'manyhands';
 *
 * class Counter {
 *   count = 0;
 *   next() {
 *     return ++this.count;
 *   }
 * }
 * class Counters extends BaseManager {}
 * Counters.register('Counter', Counter);
 *
 * await using manager = await new Counters().start();
 * const counter = await manager.create<Counter>('Counter'); // the object is in the server
 * assert.equal(await counter.next(), 1);
 * assert.equal(await counter.next(), 2);
 * ```
 */
export class BaseManager implements AsyncDisposable {
  static {
    refuseToCross(BaseManager);
  }

  readonly #given: Address | undefined;
  readonly #key: Uint8Array;
  #state: State = 'new';
  #address: Address | undefined;
  #process: Process | undefined;
  #link: Link | undefined;
  #server: ManagerServer | undefined;
  #shutdown: Promise<void> | undefined;

  /**
   * @throws {TypeError | RangeError} An option is wrong; or there is a host, and no key: the program's own is for its own processes.
   */
  constructor(options: ManagerOptions = {}) {
    if (typeof options !== 'object' || options === null)
      throw new TypeError('Cannot make a manager from that: give an object, as { address, authkey }');
    const { address, authkey } = options;
    this.#given = address === undefined ? undefined : checkAddress(address);
    if (typeof this.#given === 'object' && authkey === undefined && givenAuthkey() === undefined)
      throw new TypeError(
        `Cannot use ${addressText(this.#given)} as "address" without "authkey": choose a key that both sides know, as who has it can do anything`,
      );
    this.#key = credentialsOf(authkey === undefined ? {} : { authkey }).key;
    this.#address = this.#given;
  }

  /** The method by which start() starts the server; undefined: the program's. */
  protected get startMethod(): StartMethod | undefined {
    return undefined;
  }

  /**
   * Makes `create(typeid, …)` possible for managers of this class and of those that extend it. What proxies offer: the object's public
   * methods, which are those whose names do not begin with "_", or those that are named in `exposed`. Servers know what was registered
   * before start(); to connect(), typeids need no registration.
   * @param factory A class, or a function that gives an object or a promise of one. It runs in the server.
   * @throws {TypeError | RangeError} An argument is wrong.
   */
  static register<T>(
    typeid: string,
    factory?: (new (...args: any[]) => T) | ((...args: any[]) => T | PromiseLike<T>),
    options?: { readonly exposed?: readonly string[] },
  ): void;
  /** @internal With proxies of a class of their own. */
  static register<T>(typeid: string, factory?: Factory<T>, options?: ServedOptions): void;
  static register<T>(typeid: string, factory?: Factory<T>, options: ServedOptions = {}): void {
    register(this, typeid, { factory, ...options });
  }

  /** Where the server listens. @throws {LifecycleError} It does not yet, and no address was given. */
  get address(): Address {
    if (this.#address === undefined)
      throw new LifecycleError(
        `Cannot tell the address of this ${this.constructor.name} as it ${IS[this.#state]}: start() it first`,
      );
    return this.#address;
  }

  /**
   * Starts the server, a process that ends with this one, whatever ends that. `initializer` runs there first: if it fails, this rejects
   * with its error.
   * @throws {LifecycleError} It has been started, connected, or shut down before.
   * @throws {SerializationError} Something that is registered cannot cross.
   */
  async start({
    initializer,
    initargs = [],
  }: {
    initializer?: Target<any, any>;
    initargs?: readonly unknown[];
  } = {}): Promise<this> {
    this.#begin('start');
    const caller = new Error('start()').stack ?? '';
    try {
      const [reports, report] = Pipe({ duplex: false });
      const settings: ServerSettings = {
        address: this.#given,
        key: this.#key,
        registrations: registrationsOf(this.constructor),
        initializer: initializer === undefined ? undefined : portable(initializer),
        initargs,
      };
      using _reports = reports;
      const child = this.#startProcess(settings, report);
      const { address, server } = await received(reports, child, caller);
      this.#process = child;
      this.#address = address;
      removeAtExit(address);
      this.#attach(linkTo({ address, key: this.#key, server, isFamily: true }));
      await this.#link?.ready;
    } catch (error) {
      this.#process?.kill();
      this.#state = 'new';
      throw error;
    }
    this.#state = 'started';
    return this;
  }

  #startProcess(settings: ServerSettings, report: Connection<Report>): Process {
    try {
      const child = new Servant(MAIN, [settings, report], 'Manager', this.startMethod);
      child.on('exit', () => removePrivateSocket(this.#address));
      return child.start();
    } finally {
      report.close();
    }
  }

  /**
   * Connects to a server that was started elsewhere.
   * @throws {AuthenticationError} The keys differ.
   * @throws {TimeoutError} It had not answered when `timeout` had passed.
   * @throws {LifecycleError} It has been started, connected, or shut down before; or no address was given.
   */
  async connect(options?: WaitOptions): Promise<this> {
    checkWait(options);
    if (this.#given === undefined)
      throw new LifecycleError('Cannot connect as there is no "address": give that of the server');
    this.#begin('connect');
    try {
      const link = linkTo({ address: this.#given, key: this.#key }, options);
      await link.ready;
      this.#attach(link);
    } catch (error) {
      this.#state = 'new';
      throw error;
    }
    this.#state = 'connected';
    return this;
  }

  /**
   * A server in this thread. It listens from the time that this is called.
   * @throws {LifecycleError} It has been started, connected, or shut down before.
   */
  getServer(): Server {
    this.#begin('serve');
    this.#state = 'serving';
    const registrations = registrationsOf(this.constructor);
    const server = new ManagerServer(typeid => registrations.get(typeid), servingBy(registrations));
    this.#server = server;
    this.#address ??= makePrivateSocket();
    removeAtExit(this.#address);
    const ready = server.listen(this.#address, this.#key).then(address => {
      this.#address = address;
    });
    ready.catch(() => {}); // who serves or waits is told
    server.stopped.then(() => removePrivateSocket(this.#address));
    return {
      ready: () => ready,
      serveForever: () => ready.then(() => server.stopped),
      stop: () => server.stop(),
    };
  }

  /**
   * Has the server make an object, by what was registered under `typeid`; here is a proxy of it.
   * @throws {RangeError} There is no factory by that name.
   * @throws {LifecycleError} It has not been started or connected.
   * @throws {ClosedError} The server has ended, or the connection to it.
   */
  async create<T = any>(typeid: string, ...args: unknown[]): Promise<RemoteProxy<T>> {
    if (typeof typeid !== 'string')
      throw new TypeError(`Cannot create ${typeof typeid}: give the "typeid" that was registered`);
    return (await this.#call('create', [typeid, args])) as RemoteProxy<T>;
  }

  /** How many objects the server serves. Stale as soon as it is told. */
  async numberOfObjects(): Promise<number> {
    return (await this.#call('count', [])) as number;
  }

  #call(method: string, args: readonly unknown[]): Promise<unknown> {
    if (this.#link) return this.#link.call(ROOT, undefined, 0, method, args);
    if (this.#state === 'shut down')
      throw new ClosedError(`Cannot ${method} as this manager was shut down: start a new one`);
    throw new LifecycleError(
      `Cannot ${method} as this ${this.constructor.name} ${IS[this.#state]}: ${this.#state === 'serving' ? 'connect() another to its address' : 'start() or connect() it first'}`,
    );
  }

  /**
   * Ends the server that it has started: proxies reject with ClosedError from then on. It is asked to end, and killed after 3 s. One that
   * was connected lets go of its connection, if no other manager of this thread uses that, and the server goes on. Does nothing if called again.
   */
  shutdown(): Promise<void> {
    this.#shutdown ??= this.#end();
    return this.#shutdown;
  }

  /** The same as {@link shutdown | shutdown()}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.shutdown();
  }

  async #end(): Promise<void> {
    const state = this.#state;
    this.#state = 'shut down';
    await this.#server?.stop();
    const link = this.#link;
    this.#link = undefined;
    if (state === 'started' && this.#process) {
      const child = this.#process;
      if (link?.isOpen)
        await link.call(ROOT, undefined, 0, 'shutdown', [], { timeout: GRACE }).catch(() => {});
      else child.terminate();
      if (!(await child.join({ timeout: GRACE }))) child.kill();
      await child.join();
      removePrivateSocket(this.#address);
      link?.close();
    } else if (link && --link.managers === 0) link.close();
  }

  #attach(link: Link): void {
    this.#link = link;
    link.managers++;
    const registrations = registrationsOf(this.constructor);
    const before = link.proxyFor;
    link.proxyFor = typeid => registrations.get(typeid)?.proxy ?? before(typeid);
  }

  #begin(act: string): void {
    if (this.#state !== 'new')
      throw new LifecycleError(
        `Cannot ${act} this ${this.constructor.name} as it ${IS[this.#state]}: make a new one`,
      );
    this.#state = 'starting';
  }
}

/** What the server's process reports. @throws What it threw before it listened. */
async function received(
  reports: Connection<Report>,
  child: Process,
  caller: string,
): Promise<Extract<Report, { server: string }>> {
  let report: Report;
  try {
    report = await reports.recv();
  } catch (error) {
    if (!(error instanceof EndOfFileError)) throw error;
    await child.result(); // rejects with how it ended
    throw error;
  }
  if ('server' in report) return report;
  const error = decodeThrown(report.thrown);
  joinStacks(error, caller);
  await child.join();
  throw error;
}
