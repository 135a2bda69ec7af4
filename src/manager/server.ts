import { randomBytes } from 'node:crypto';
import type { Address } from '../channel/socket/address.js';
import { Doorway } from '../channel/socket/doorway.js';
import { hold, unhold } from '../wait/doorbell.js';
import { Lender } from './lenders.js';
import { ROOT } from './link.js';
import { familyName } from './links.js';
import { makesObjects, type Registration } from './registry.js';
import type { Serving } from './served.js';
import { type Host, Session } from './session.js';
import { type Entry, Table } from './table.js';

/** So many may wait to be let in. */
const BACKLOG = 512;

/** Finds what was registered under a typeid. */
export type FindRegistration = (typeid: string) => Registration | undefined;

/** What managers call of the server itself. */
export class Root {
  readonly #server: ManagerServer;

  constructor(server: ManagerServer) {
    this.#server = server;
  }

  create(typeid: string, args: readonly unknown[]): Promise<object> {
    return this.#server.create(typeid, args);
  }

  /** Has the server end once this has been answered. */
  shutdown(): void {
    setImmediate(() => this.#server.stop());
  }

  count(): number {
    return this.#server.count;
  }
}

/** Serves objects to those who connect, all on one event loop. */
export class ManagerServer implements Host {
  readonly id: string = randomBytes(12).toString('base64url');
  readonly family: string = familyName();
  /** Resolves when it has stopped. */
  readonly stopped: Promise<void>;
  readonly #find: FindRegistration;
  readonly #table: Table;
  readonly #sessions = new Set<Session>();
  readonly #lenders = new Map<string, Lender>();
  #door: Doorway | undefined;
  #isStopped = false;
  #settleStopped!: () => void;

  /**
   * `servingFor`: how objects are served that come about otherwise than by create(). `endsOnRequest`: may those who are connected end
   * it? So it is for a process that is nothing else.
   */
  constructor(
    find: FindRegistration,
    servingFor: (object: object) => Serving | undefined,
    { endsOnRequest = false } = {},
  ) {
    this.#find = find;
    this.#table = new Table(servingFor);
    const exposed = endsOnRequest ? ['create', 'count', 'shutdown'] : ['create', 'count'];
    this.#table.add(new Root(this), { typeid: 'manager', exposed }, ROOT).references++;
    this.stopped = new Promise(resolve => {
      this.#settleStopped = resolve;
    });
  }

  /** Objects that are served now. */
  get count(): number {
    return this.#table.size - 1;
  }

  /** Begins to listen. Where: with a port chosen by the system, that. It keeps the event loop alive until it is stopped. */
  async listen(address: Address, key: Uint8Array): Promise<Address> {
    const door = await Doorway.open(
      address,
      BACKLOG,
      { key, allowMd5: false },
      {
        isFull: () => false,
        onVisitor: socket => {
          const session = new Session(this);
          this.#sessions.add(session);
          socket.owner = session;
          session.open(socket);
        },
        onRefused: () => {}, // that one has been told
      },
    );
    if (this.#isStopped) door.close();
    else {
      hold();
      this.#door = door;
    }
    return door.address;
  }

  async create(typeid: string, args: readonly unknown[]): Promise<object> {
    const registration = this.#find(typeid);
    if (!registration?.factory)
      throw new RangeError(
        `Cannot create "${typeid}" as the manager's server knows no factory for it: register() it there before start() or getServer()`,
      );
    const { factory, exposed, proxy } = registration;
    const isClass = makesObjects(factory);
    const object: unknown = isClass
      ? new (factory as new (...args: readonly unknown[]) => object)(...args)
      : await (factory as (...args: readonly unknown[]) => unknown)(...args);
    if ((typeof object !== 'object' && typeof object !== 'function') || object === null)
      throw new TypeError(
        `Cannot serve "${typeid}" as its factory gave ${object === null ? 'null' : typeof object}: return an object`,
      );
    this.#table.add(object, { typeid, exposed, proxy, owned: isClass });
    return object;
  }

  /** Ends it: those who are connected are told, and what it is to dispose of is disposed of. */
  async stop(): Promise<void> {
    if (!this.#isStopped) {
      this.#isStopped = true;
      if (this.#door) unhold();
      this.#door?.close();
      for (const session of [...this.#sessions]) session.close();
      for (const lender of [...this.#lenders.values()]) lender.expire();
      await Promise.all(this.#table.all().map(entry => this.#remove(entry)));
      this.#settleStopped();
    }
    await this.stopped;
  }

  entry(object: number): Entry {
    return this.#table.get(object);
  }

  entryOf(object: object): Entry | undefined {
    return this.#table.find(object);
  }

  addReference(entry: Entry): void {
    entry.references++;
  }

  dropReference(entry: Entry): void {
    entry.references--;
    this.settle(entry);
  }

  settle(entry: Entry): void {
    if (entry.references <= 0 && entry.calls === 0) void this.#remove(entry);
  }

  /** The object is served no more. If it was made here, and nothing else here may have it, it is disposed of. */
  async #remove(entry: Entry): Promise<void> {
    this.#table.remove(entry);
    if (!entry.isOwned || entry.isKept) return;
    const { [Symbol.asyncDispose]: dispose, [Symbol.dispose]: disposeSync } = entry.object as Partial<
      AsyncDisposable & Disposable
    >;
    try {
      await (dispose ?? disposeSync)?.call(entry.object);
    } catch (error) {
      process.emitWarning(
        `A "${entry.type.typeid}" of a manager could not be disposed of: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }

  lender(token: string): Lender {
    let lender = this.#lenders.get(token);
    if (!lender) {
      lender = new Lender(token, this);
      this.#lenders.set(token, lender);
    }
    return lender;
  }

  forget(lender: Lender): void {
    if (this.#lenders.get(lender.token) === lender) this.#lenders.delete(lender.token);
  }

  ended(session: Session): void {
    this.#sessions.delete(session);
  }
}
