import type * as childProcess from 'node:child_process';
import type cluster from 'node:cluster';
import type { Worker as ClusterWorker } from 'node:cluster';
import type { EventEmitter, EventEmitterAsyncResource } from 'node:events';
import type * as workerThreads from 'node:worker_threads';
import type * as piscina from 'piscina';
import type * as tinypool from 'tinypool';
import type * as workerpool from 'workerpool';

/** What a class gives to its objects and has itself, but for what events and all classes have. */
type Own<C extends abstract new (...args: any) => any> = Omit<InstanceType<C>, Inherited> &
  Omit<C, Inherited | 'prototype'>;
type Inherited = keyof EventEmitterAsyncResource | keyof typeof EventEmitter | keyof EventTarget | symbol;

/**
 * What the guides in docs/migration/ have to tell of, by the heads of their tables: each member of each type. Read by
 * migration.test.ts, and no part of the build: that needs none of these packages.
 */
export interface Elsewhere {
  'pools.md': {
    piscina: typeof piscina;
    'new Piscina()': NonNullable<ConstructorParameters<typeof piscina.Piscina>[0]>;
    'Piscina.run()': NonNullable<Parameters<piscina.Piscina['run']>[1]>;
    Piscina: Own<typeof piscina.Piscina>;
    tinypool: typeof tinypool;
    'new Tinypool()': tinypool.Options;
    'Tinypool.run()': NonNullable<Parameters<tinypool.Tinypool['run']>[1]>;
    Tinypool: Own<typeof tinypool.Tinypool>;
    workerpool: Omit<typeof workerpool, 'default'>;
    'workerpool.pool()': workerpool.WorkerPoolOptions;
    'workerpool.Pool': Omit<workerpool.Pool, never>;
    'workerpool.Pool.exec()': NonNullable<Parameters<workerpool.Pool['exec']>[2]>;
    'workerpool.worker()': workerpool.WorkerRegisterOptions;
    'workerpool.Promise': workerpool.Promise<unknown>;
  };
  'child-process.md': {
    'child_process.fork()': childProcess.ForkOptions;
    'child_process.ChildProcess': Omit<childProcess.ChildProcess, Inherited>;
    cluster: Omit<typeof cluster, Inherited>;
    'cluster.Worker': Omit<ClusterWorker, Inherited>;
    'cluster.setupPrimary()': NonNullable<Parameters<typeof cluster.setupPrimary>[0]>;
  };
  'worker-threads.md': {
    worker_threads: typeof workerThreads;
    'new Worker()': NonNullable<ConstructorParameters<typeof workerThreads.Worker>[1]>;
    Worker: Own<typeof workerThreads.Worker>;
    MessagePort: Omit<workerThreads.MessagePort, Inherited>;
  };
}
