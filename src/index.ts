export * from './errors/errors.js';
export { cpuCount } from './platform/platform.js';
export { AsyncResult } from './pool/async-result.js';
export type { MappedIterator } from './pool/imap.js';
export { type MapOptions, Pool, type PoolOptions, type PoolStats, type TaskOptions } from './pool/pool.js';
export type { ExecutionOptions } from './process/execution.js';
export { Process, type ProcessOptions } from './process/process.js';
export { setForkserverPreload } from './process/server.js';
export {
  getAllStartMethods,
  getStartMethod,
  type StartMethod,
  setStartMethod,
} from './process/start-method.js';
export type { Target } from './process/target.js';
export type { ProcessState, ProcessUsage } from './process/usage.js';
export type { Guard } from './sync/guard.js';
export { Lock } from './sync/lock.js';
export type { NamedOptions } from './sync/naming.js';
export { RLock } from './sync/rlock.js';
export type { WaitOptions } from './wait/options.js';
