import { endQuickImports } from './platform/quick-imports.js'; // first

export { Connection } from './channel/connection.js';
export { JoinableQueue } from './channel/joinable-queue.js';
export { LifoQueue } from './channel/lifo-queue.js';
export { Pipe } from './channel/pipe.js';
export { type Priority, PriorityQueue } from './channel/priority-queue.js';
export { type Channel, Queue } from './channel/queue.js';
export { SimpleQueue } from './channel/simple-queue.js';
export type { Address } from './channel/socket/address.js';
export { type ConnectOptions, connect } from './channel/socket/connect.js';
export { Listener, type ListenerOptions } from './channel/socket/listener.js';
export { wait } from './channel/wait.js';
export type { Waitable } from './channel/waitable.js';
export * from './errors/errors.js';
export { BaseManager, type ManagerOptions, type RemoteProxy, type Server } from './manager/base-manager.js';
export { type Context, getContext } from './manager/context.js';
export type { ArrayProxy } from './manager/proxies/array.js';
export type { BarrierProxy } from './manager/proxies/barrier.js';
export type { ConditionProxy } from './manager/proxies/condition.js';
export type { DictProxy } from './manager/proxies/dict.js';
export type { EventFlagProxy } from './manager/proxies/event-flag.js';
export type { ListProxy } from './manager/proxies/list.js';
export type { LockProxy, RLockProxy } from './manager/proxies/lock.js';
export type { NamespaceProxy } from './manager/proxies/namespace.js';
export type { PoolProxy } from './manager/proxies/pool.js';
export type { QueueProxy } from './manager/proxies/queue.js';
export type { SemaphoreProxy } from './manager/proxies/semaphore.js';
export type { ValueProxy } from './manager/proxies/value.js';
export { Manager, SyncManager } from './manager/sync-manager.js';
export { cpuCount } from './platform/platform.js';
export { AsyncResult } from './pool/async-result.js';
export {
  asCompleted,
  type CompletedIterator,
  type FutureIterator,
  type WaitedFutures,
  type WaitFuturesOptions,
  waitFutures,
} from './pool/completed.js';
export {
  type ExecutorMapOptions,
  type ExecutorOptions,
  ProcessPoolExecutor,
  type ShutdownOptions,
  ThreadPoolExecutor,
} from './pool/executor.js';
export { Future } from './pool/future.js';
export type { BufferedMapOptions, MappedIterator } from './pool/imap.js';
export type { MapOptions, MapProgress } from './pool/map.js';
export type { PoolOptions, PoolStats, TaskOptions } from './pool/options.js';
export { type Callbacks, Pool } from './pool/pool.js';
export { taskSignal } from './pool/task-signal.js';
export { ThreadPool } from './pool/thread-pool.js';
export { activeChildren, currentProcess } from './process/current-process.js';
export {
  activeThreadCount,
  currentThread,
  enumerateThreads,
  mainThread,
} from './process/current-thread.js';
export { Execution, type ExecutionOptions } from './process/execution.js';
export { fork } from './process/fork.js';
export * as os from './process/os.js';
export { parentProcess } from './process/parent-process.js';
export { Process } from './process/process.js';
export type { ProcessOptions } from './process/process-options.js';
export { setForkserverPreload } from './process/server.js';
export {
  getAllStartMethods,
  getStartMethod,
  type StartMethod,
  setStartMethod,
} from './process/start-method.js';
export type { Target } from './process/target.js';
export { type ExceptHook, Thread, type ThreadFailure, type ThreadOptions } from './process/thread.js';
export { Timer } from './process/timer.js';
export type { ProcessState, ProcessUsage } from './process/usage.js';
export type { LockedOptions } from './shared/locked.js';
export { ShareableList } from './shared/shareable-list.js';
export { SharedArray } from './shared/shared-array.js';
export { SharedList } from './shared/shared-list.js';
export { SharedMap, type SharedMapEntry, type SharedMapOptions } from './shared/shared-map.js';
export { SharedMemory, type SharedMemoryOptions } from './shared/shared-memory.js';
export type { NumberOf, TypeCode, TypedArrayOf } from './shared/types.js';
export { Value } from './shared/value.js';
export { Barrier, type BarrierOptions } from './sync/barrier.js';
export { Condition } from './sync/condition.js';
export { EventFlag } from './sync/event-flag.js';
export type { Guard } from './sync/guard.js';
export { Lock } from './sync/lock.js';
export type { NamedOptions } from './sync/naming.js';
export { RLock } from './sync/rlock.js';
export { RWLock } from './sync/rw-lock.js';
export { BoundedSemaphore, Semaphore } from './sync/semaphore.js';
export { TableLock, type TableOptions } from './sync/table-lock.js';
export type { WaitOptions } from './wait/options.js';

endQuickImports();
