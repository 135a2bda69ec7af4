import type { PoolOptions } from '../pool/options.js';
import type { NumberOf, TypeCode } from '../shared/types.js';
import type { BarrierOptions } from '../sync/barrier.js';
import { BaseManager } from './base-manager.js';
import { ArrayProxy } from './proxies/array.js';
import { BarrierProxy } from './proxies/barrier.js';
import { ConditionProxy } from './proxies/condition.js';
import { crossing, DictProxy } from './proxies/dict.js';
import { EventFlagProxy } from './proxies/event-flag.js';
import { ListProxy } from './proxies/list.js';
import { LockProxy, RLockProxy } from './proxies/lock.js';
import { NamespaceProxy } from './proxies/namespace.js';
import { PoolProxy } from './proxies/pool.js';
import { QueueProxy } from './proxies/queue.js';
import { SemaphoreProxy } from './proxies/semaphore.js';
import { ValueProxy } from './proxies/value.js';
import type { Factory } from './registry.js';
import type { RemoteClass } from './remote-object.js';
import { nameRemoteClass } from './remote-type.js';
import { ServedArray } from './served/array.js';
import { ServedBarrier } from './served/barrier.js';
import { ServedCondition } from './served/condition.js';
import { ServedDict } from './served/dict.js';
import { ServedEventFlag } from './served/event-flag.js';
import { ServedList } from './served/list.js';
import { ServedLock } from './served/lock.js';
import { ServedNamespace } from './served/namespace.js';
import { ServedPool } from './served/pool.js';
import { ServedQueue } from './served/queue.js';
import { ServedRLock } from './served/rlock.js';
import { ServedBoundedSemaphore, ServedSemaphore } from './served/semaphore.js';
import { ServedValue } from './served/value.js';

/**
 * A manager of the usual things: its server holds dicts, lists, locks and their kin, queues, numbers and pools, and here are proxies of
 * them, whose methods are all async. A proxy may be passed to any thread or process, put into another object of the manager, and
 * had from another machine.
 *
 * Who has what: a lock or permit, and what is owed to a queue, is the thread's that asked for it. When that thread's connection ends,
 * however it does, what it had comes back, and what it waited for it waits for no longer.
 *
 * Compared with their namesakes in shared memory, these need a server, and a message to it and back for each call; but they hold
 * what is not shared memory, and reach across machines.
 *
 * Python: `multiprocessing.managers.SyncManager`, with these names in lower case: `Lock()` is `lock()`, `Array()` is `array()`.
 */
export class SyncManager extends BaseManager {
  /** A map from strings to values, of an object's own properties or of pairs to begin with. */
  dict<V = any>(init: Record<string, V> | Iterable<readonly [string, V]> = {}): Promise<DictProxy<V>> {
    return this.#make('dict', crossing(init));
  }

  /** A list, of these items to begin with. */
  list<T = any>(init: Iterable<T> = []): Promise<ListProxy<T>> {
    return this.#make('list', [...init]);
  }

  /** A few values by name. */
  namespace<T extends object = Record<string, any>>(init?: T): Promise<NamespaceProxy<T>> {
    return this.#make('namespace', { ...init });
  }

  /** A queue of `maxsize` items at most; 0, the default: of any number. It is joinable. */
  queue<T = any>(maxsize = 0): Promise<QueueProxy<T>> {
    return this.#make('queue', maxsize);
  }

  /** {@link queue | queue()} by Python's other name. */
  joinableQueue<T = any>(maxsize = 0): Promise<QueueProxy<T>> {
    return this.queue(maxsize);
  }

  /** A lock that one at a time holds. */
  lock(): Promise<LockProxy> {
    return this.#make('lock');
  }

  /** A lock that the thread which holds it may acquire again. */
  rlock(): Promise<RLockProxy> {
    return this.#make('rlock');
  }

  /** So many permits, by default 1. */
  semaphore(n = 1): Promise<SemaphoreProxy> {
    return this.#make('semaphore', n);
  }

  /** One that never has more permits than it began with. */
  boundedSemaphore(n = 1): Promise<SemaphoreProxy> {
    return this.#make('boundedSemaphore', n);
  }

  /** A flag that any number wait for. */
  event(): Promise<EventFlagProxy> {
    return this.#make('event');
  }

  /** `lock`: a lock() or rlock() of this manager; by default an rlock of its own. */
  condition(lock?: LockProxy): Promise<ConditionProxy> {
    return lock === undefined ? this.#make('condition') : this.#make('condition', lock);
  }

  /** `action` runs in the server, before anyone leaves; `timeout`: of every wait() that gives none, ms. */
  barrier(parties: number, options: BarrierOptions = {}): Promise<BarrierProxy> {
    return this.#make('barrier', parties, options);
  }

  /** A number, of the types that Value has. */
  value<C extends TypeCode>(type: C, initial?: NumberOf<C>): Promise<ValueProxy<C>> {
    return initial === undefined ? this.#make('value', type) : this.#make('value', type, initial);
  }

  /** So many numbers, all of them 0, or these numbers. */
  array<C extends TypeCode>(type: C, sizeOrItems: number | Iterable<NumberOf<C>>): Promise<ArrayProxy<C>> {
    const isIterable = typeof sizeOrItems === 'object' && sizeOrItems !== null;
    return this.#make('array', type, isIterable ? [...sizeOrItems] : sizeOrItems);
  }

  /** A pool whose workers the server starts: so many, by default one for each CPU. */
  pool(size?: number | PoolOptions, options?: PoolOptions): Promise<PoolProxy> {
    const given = options === undefined ? [size] : [size, options];
    return this.#make('pool', ...(size === undefined && options === undefined ? [] : given));
  }

  #make(typeid: string, ...args: unknown[]): Promise<any> {
    return this.create(typeid, ...args);
  }
}

/**
 * A started {@link SyncManager}: a server process of its own, which ends with this program, or when the manager is shut down or
 * disposed of.
 *
 * Python: `multiprocessing.Manager()`. See [Managers](../../docs/managers.md) and [what they hold](../../docs/manager-types.md).
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Manager, Process } from 'manyhands';
 *
 * await using manager = await Manager();
 * const scores = await manager.dict<number>({ Ann: 0 });
 * const win = () => scores.add('Ann', 1);
 * const games = [1, 2, 3].map(() => new Process({ target: win }).start());
 * await Promise.all(games.map(game => game.join()));
 * assert.deepEqual(await scores.toObject(), { Ann: 3 });
 * ```
 */
export function Manager(): Promise<SyncManager> {
  return new SyncManager().start();
}

/** Has managers serve `factory`'s objects, and names the class of their proxies for other programs, whatever manager they connect. */
function serve(typeid: string, factory: Factory, proxy: RemoteClass, ...exposed: string[]): void {
  SyncManager.register(typeid, factory, { exposed, proxy });
  nameRemoteClass(typeid, proxy);
}

const LOCK = ['grant', 'tryGrant', 'release', 'giveBack', 'locked'];
const SEMAPHORE = ['grant', 'tryGrant', 'release', 'giveBack', 'getValue'];

serve(
  'dict',
  ServedDict,
  DictProxy,
  ...['get', 'set', 'has', 'delete', 'size', 'clear', 'keys', 'values', 'entries', 'update', 'setDefault'],
  ...['pop', 'add', 'compareAndSet', 'toObject', 'chunks'],
);
serve(
  'list',
  ServedList,
  ListProxy,
  ...['at', 'set', 'push', 'pop', 'shift', 'unshift', 'splice', 'slice', 'indexOf', 'includes', 'reverse'],
  ...['sort', 'length', 'add', 'toArray', 'chunks'],
);
serve('namespace', ServedNamespace, NamespaceProxy, 'get', 'set', 'delete', 'has', 'toObject');
serve(
  'queue',
  ServedQueue,
  QueueProxy,
  ...['put', 'putNowait', 'putMany', 'send', 'sendNowait', 'sendMany', 'received', 'qsize', 'empty', 'full'],
  ...['taskDone', 'join', 'shutdown', 'close'],
);
serve('lock', ServedLock, LockProxy, ...LOCK);
serve('rlock', ServedRLock, RLockProxy, ...LOCK);
serve('semaphore', ServedSemaphore, SemaphoreProxy, ...SEMAPHORE);
serve('boundedSemaphore', ServedBoundedSemaphore, SemaphoreProxy, ...SEMAPHORE);
serve('event', ServedEventFlag, EventFlagProxy, 'isSet', 'set', 'clear', 'wait');
serve('condition', ServedCondition, ConditionProxy, ...LOCK, 'getLock', 'wait', 'notify', 'notifyAll');
serve('barrier', ServedBarrier, BarrierProxy, 'wait', 'reset', 'abort', 'parties', 'waiting', 'broken');
serve('value', ServedValue, ValueProxy, 'get', 'set', 'add', 'compareExchange', 'getLock');
serve(
  'array',
  ServedArray,
  ArrayProxy,
  ...['get', 'set', 'length', 'toArray', 'slice', 'getValue', 'setValue', 'getLock', 'chunks'],
);
serve(
  'pool',
  ServedPool,
  PoolProxy,
  ...['run', 'map', 'starmap', 'imap', 'imapUnordered', 'broadcast', 'ready', 'room', 'join', 'resize'],
  ...['close', 'terminate', 'size', 'stats'],
);
