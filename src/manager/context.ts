import { getContext as getLowerContext, type Context as LowerContext } from '../pool/context.js';
import { getStartMethod, METHODS, type StartMethod } from '../process/start-method.js';
import { type Manager, SyncManager } from './sync-manager.js';

/** Everything of this module that starts processes, bound to one start method. */
export interface Context extends LowerContext {
  /** Its server starts by `method`. */
  readonly Manager: typeof Manager;
}

function bind(method: StartMethod): typeof Manager {
  class Bound extends SyncManager {
    protected override get startMethod(): StartMethod {
      return method;
    }
  }
  Object.defineProperty(Bound, 'name', { value: 'SyncManager' });
  return function Manager(): Promise<SyncManager> {
    return new Bound().start();
  };
}

/** The function Manager of each start method: members of an export, so that they cross by reference. */
export const boundManagers = Object.freeze(
  Object.fromEntries(METHODS.map(method => [method, bind(method)])),
) as Readonly<Record<StartMethod, typeof Manager>>;

const contexts = new Map<StartMethod, Context>(
  METHODS.map(method => [
    method,
    Object.freeze({ ...getLowerContext(method), Manager: boundManagers[method] }),
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
  return contexts.get(method) ?? (getLowerContext(method) as never); // which says what is wrong
}
