import {
  ClosedError,
  LifecycleError,
  QueueEmptyError,
  QueueFullError,
  QueueShutDownError,
  TimeoutError,
  WorkerDiedError,
} from '../../errors/errors.js';
import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { Debts } from './debts.js';
import { Deque } from './deque.js';
import { Line, type Waiter } from './line.js';
import { caller, type Estate, type Owner } from './owner.js';

const NOW = { timeout: 0 };

/** What one puts in, and how many of these items are in already. */
interface Putting<T> {
  readonly items: readonly T[];
  put: number;
}

/** How many one gets: an item, or an array of up to so many. */
interface Getting {
  readonly most: number;
  readonly isOne: boolean;
}

/** Items on their way to one who has not said that it has them. */
interface Sent<T> {
  readonly to: Owner;
  readonly items: readonly T[];
}

/** What one who gets is answered: a number, to be said when it has come, and an item or items. */
export type Parcel<T> = readonly [serial: number, given: T];

/**
 * The queue of a manager. Items go in, and out, in the order in which they were asked for.
 *
 * What is got is on its way until the client has said that it has it, which proxies do before their caller sees it. If the client's
 * connection ends before that, it goes back to the front.
 *
 * While somebody waits to get, the queue is empty; while somebody waits to put, it is full.
 */
export class ServedQueue<T = unknown> implements Estate {
  readonly #maxsize: number;
  readonly #items = new Deque<T>();
  readonly #putters = new Line<Putting<T>, void>(() => this.#move());
  readonly #getters = new Line<Getting, Parcel<T | T[]>>();
  readonly #joiners = new Line<void, void>();
  readonly #debts = new Debts();
  readonly #closedBy = new WeakSet<Owner>();
  /** How often items were taken. */
  #serial = 0;
  /** By the numbers of that: the lower, the further to the front they belong. */
  readonly #sent = new Map<number, Sent<T>>();
  #isShutDown = false;
  /** Shut down at once: what comes back is dropped as well. */
  #isDropped = false;

  constructor(maxsize = 0) {
    if (typeof maxsize !== 'number')
      throw new TypeError(`Cannot make a queue of ${typeof maxsize}: give the number of items it may hold`);
    if (Number.isNaN(maxsize))
      throw new RangeError('Cannot make a queue of NaN items: give a number, 0 for no limit');
    this.#maxsize = Math.max(0, maxsize);
  }

  put(item: T, options?: WaitOptions): void | Promise<void> {
    const timeout = timeoutOf(options);
    const owner = this.#user();
    if (this.#isShutDown) throw notPut('shut down');
    if (this.#room > 0) {
      this.#items.push(item);
      if (this.#getters.length > 0) this.#move();
      return;
    }
    if (timeout === 0) throw notPut('full');
    return this.#waitToPut(owner, { items: [item], put: 0 }, timeout, options?.signal);
  }

  putNowait(item: T): void | Promise<void> {
    return this.put(item, NOW);
  }

  putMany(items: readonly T[], options?: WaitOptions): void | Promise<void> {
    const timeout = timeoutOf(options);
    const owner = this.#user();
    const putting = { items, put: 0 };
    if (this.#isShutDown) throw telling(notPut('shut down'), putting);
    while (this.#room > 0) {
      const isDone = this.#putSome(putting);
      this.#move(); // may make room
      if (isDone) return;
    }
    if (timeout === 0) throw telling(notPut('full'), putting);
    return this.#waitToPut(owner, putting, timeout, options?.signal);
  }

  async get(options?: WaitOptions): Promise<T> {
    return this.#unpacked(await this.send(options));
  }

  getNowait(): T {
    return this.#unpacked(this.sendNowait() as Parcel<T>);
  }

  async getMany(max: number, options?: WaitOptions): Promise<T[]> {
    return this.#unpacked(await this.sendMany(max, options));
  }

  /** get() for proxies, and its kin: to be answered by received(). */
  send(options?: WaitOptions): Parcel<T> | Promise<Parcel<T>> {
    const timeout = timeoutOf(options);
    return this.#get({ most: 1, isOne: true }, timeout, options?.signal) as Parcel<T> | Promise<Parcel<T>>;
  }

  sendNowait(): Parcel<T> | Promise<Parcel<T>> {
    return this.send(NOW);
  }

  sendMany(max: number, options?: WaitOptions): Parcel<T[]> | Promise<Parcel<T[]>> {
    if (typeof max !== 'number') throw new TypeError(`Cannot get ${typeof max} items: give a number`);
    if (!(max >= 1)) throw new RangeError(`Cannot get ${max} items: give a number from 1 on`);
    const timeout = timeoutOf(options);
    return this.#get({ most: Math.floor(max), isOne: false }, timeout, options?.signal) as
      | Parcel<T[]>
      | Promise<Parcel<T[]>>;
  }

  /** What was answered by this number has come. */
  received(serial: number): void {
    this.#sent.delete(serial);
  }

  qsize(): number {
    this.#user();
    return this.#items.length;
  }

  empty(): boolean {
    return this.qsize() === 0;
  }

  full(): boolean {
    return this.qsize() >= this.#maxsize && this.#maxsize > 0;
  }

  taskDone(): void {
    const owner = this.#user();
    if (!this.#debts.pay(owner))
      throw new LifecycleError(
        'Cannot be done with an item of this queue as none is owed: call taskDone() once for each that was got',
      );
    if (this.#sent.size === 0 && !this.#debts.owes(owner)) owner.estates.delete(this);
    this.#settle();
  }

  join(options?: WaitOptions): void | Promise<void> {
    const timeout = timeoutOf(options);
    const owner = this.#user();
    if (this.#items.length === 0 && this.#debts.total === 0) return;
    if (this.#items.length === 0 && !this.#debts.canBePaid) throw this.#lostError();
    const tooLate = () => {
      throw new TimeoutError(
        'Cannot join this queue as not all was done in time: wait longer, or see who got items and did not call taskDone()',
      );
    };
    if (timeout === 0) tooLate();
    return this.#joiners.wait(owner, undefined, { timeout, signal: options?.signal, tooLate });
  }

  shutdown({ immediate = false }: { immediate?: boolean } = {}): void {
    this.#user();
    this.#isShutDown = true;
    if (immediate) {
      this.#isDropped = true;
      this.#items.clear();
    }
    for (const putter of this.#putters.all) putter.reject(telling(notPut('shut down'), putter.note));
    if (this.#items.length === 0) for (const getter of this.#getters.all) getter.reject(notGot('shut down'));
    this.#settle();
  }

  /** The calling thread is done with it: its waits end, and what it owes it will not pay. */
  close(): void {
    const owner = caller();
    if (this.#closedBy.has(owner)) return;
    this.#closedBy.add(owner);
    const waiters: Waiter<any, any>[] = [...this.#putters.all, ...this.#getters.all, ...this.#joiners.all];
    for (const waiter of waiters) if (waiter.owner === owner) waiter.reject(closed());
    this.#debts.forsake(owner);
    this.#settle();
  }

  inherit(from: Owner): void {
    from.estates.delete(this);
    this.#takeBack(from);
    this.#debts.forsake(from);
    this.#move();
    this.#settle();
  }

  /** Nobody has it any more. */
  [Symbol.dispose](): void {
    for (const owner of this.#debts.owners) owner.estates.delete(this);
  }

  get #room(): number {
    return this.#maxsize === 0 ? Number.POSITIVE_INFINITY : this.#maxsize - this.#items.length;
  }

  #user(): Owner {
    const owner = caller();
    if (this.#closedBy.has(owner)) throw closed();
    return owner;
  }

  #get(
    getting: Getting,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Parcel<T | T[]> | Promise<Parcel<T | T[]>> {
    const owner = this.#user();
    if (this.#items.length > 0) {
      const taken = this.#take(owner, getting);
      if (this.#putters.length > 0) this.#move();
      return taken;
    }
    if (this.#isShutDown) throw notGot('shut down');
    if (timeout === 0) throw notGot('empty');
    return this.#getters.wait(owner, getting, {
      timeout,
      signal,
      tooLate: () => {
        throw notGot('empty');
      },
    });
  }

  #waitToPut(
    owner: Owner,
    putting: Putting<T>,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    return this.#putters.wait(owner, putting, {
      timeout,
      signal,
      tooLate: () => {
        throw telling(notPut('full'), putting);
      },
    });
  }

  /** Items have come or gone, or somebody has left: puts in and hands out as far as that goes, in order. */
  #move(): void {
    for (;;) {
      const getter = this.#items.length > 0 ? this.#getters.first : undefined;
      const putter = this.#room > 0 ? this.#putters.first : undefined;
      if (getter) getter.resolve(this.#take(getter.owner, getter.note));
      else if (!putter) return;
      else if (this.#putSome(putter.note)) putter.resolve();
    }
  }

  /** Puts in as many as there is room for. Are that all? */
  #putSome(putting: Putting<T>): boolean {
    const { items } = putting;
    const end = Math.min(items.length, putting.put + this.#room);
    while (putting.put < end) this.#items.push(items[putting.put++]);
    return putting.put === items.length;
  }

  #take(owner: Owner, { most, isOne }: Getting): Parcel<T | T[]> {
    const items = this.#items.take(most);
    const serial = ++this.#serial;
    this.#sent.set(serial, { to: owner, items });
    this.#debts.incur(owner, items.length);
    owner.estates.add(this);
    return [serial, isOne ? items[0] : items];
  }

  #unpacked<R>([serial, given]: Parcel<R>): R {
    this.received(serial);
    return given;
  }

  /** Puts back what one was sent who has not said that it has come. */
  #takeBack(from: Owner): void {
    const items: T[] = [];
    for (const [serial, sent] of this.#sent) {
      if (sent.to !== from) continue;
      this.#sent.delete(serial);
      items.push(...sent.items);
    }
    this.#debts.remit(from, items.length);
    if (!this.#isDropped) this.#items.unshift(items);
  }

  /** Ends the waits of those who join, if they have something to see. */
  #settle(): void {
    if (this.#joiners.length === 0 || this.#items.length > 0) return;
    if (this.#debts.total === 0) for (const joiner of this.#joiners.all) joiner.resolve();
    else if (!this.#debts.canBePaid) for (const joiner of this.#joiners.all) joiner.reject(this.#lostError());
  }

  #lostError(): WorkerDiedError {
    const { total, debtors } = this.#debts;
    return Object.assign(
      new WorkerDiedError(
        `Cannot join this queue as ${total === 1 ? '1 item was' : `${total} items were`} got by those who have ended or closed it without taskDone() (${debtors}): do what is lost again, and call taskDone() once for each`,
        { pid: Number(/process (\d+)/.exec(debtors)?.[1] ?? 0), exitCode: null, signalCode: null },
      ),
      { unfinished: total },
    );
  }
}

function notPut(why: 'full' | 'shut down'): Error {
  return why === 'full'
    ? new QueueFullError('Cannot put into this queue as it had no room in time: get more, or wait longer')
    : new QueueShutDownError('Cannot put into this queue as it was shut down: nothing goes in any more');
}

function notGot(why: 'empty' | 'shut down'): Error {
  return why === 'empty'
    ? new QueueEmptyError('Cannot get from this queue as nothing was in it in time: put more, or wait longer')
    : new QueueShutDownError('Cannot get from this queue as it was shut down and nothing is left in it');
}

/** An error that also tells how many items are in. */
function telling<T>(error: Error, { put }: Putting<T>): Error {
  return Object.assign(error, { put });
}

function closed(): ClosedError {
  return new ClosedError('Cannot use this queue as this thread has closed it: close it when you are done');
}
