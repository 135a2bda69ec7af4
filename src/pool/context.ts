import { boundProcesses } from '../process/bound.js';
import type { Process } from '../process/process.js';
import { checkStartMethod, getStartMethod, METHODS, type StartMethod } from '../process/start-method.js';
import { type PoolOptions, poolOptions } from './options.js';
import { Pool as Unbound } from './pool.js';

/** Everything of this module that starts processes, bound to one start method. */
export interface Context {
  /** The start method that it is bound to. */
  readonly method: StartMethod;
  /** Starts by `method`; may be extended. Its objects are `instanceof` the common Process, too. */
  readonly Process: typeof Process;
  /** Its worker processes start by `method`, whatever `context` its options name. */
  readonly Pool: typeof Unbound;
}

function bind(method: StartMethod): typeof Unbound {
  return class Pool extends Unbound {
    constructor(size?: number | PoolOptions, options?: PoolOptions) {
      super({ ...poolOptions(size, options), context: getContext(method) });
    }
  };
}

/** The class Pool of each start method: members of an export, so that they cross by reference. */
export const boundPools = Object.freeze(
  Object.fromEntries(METHODS.map(method => [method, bind(method)])),
) as Readonly<Record<StartMethod, typeof Unbound>>;

const contexts = new Map<StartMethod, Context>(
  METHODS.map(method => [
    method,
    Object.freeze({ method, Process: boundProcesses[method], Pool: boundPools[method] }),
  ]),
);

/**
 * The context of a start method, the same object each time. Without argument the default's; that settles which the default
 * is, as getStartMethod() does.
 *
 * Python: `multiprocessing.get_context`.
 * @throws {RangeError} There is no such start method.
 */
export function getContext(method: StartMethod = getStartMethod()): Context {
  checkStartMethod(method);
  return contexts.get(method) as Context;
}
