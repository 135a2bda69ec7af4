import { Process as Unbound } from './process.js';
import { METHODS, type StartMethod } from './start-method.js';

function bind(method: StartMethod): typeof Unbound {
  return class Process<A extends readonly unknown[] = any[], R = unknown> extends Unbound<A, R> {
    protected override get startMethod(): StartMethod {
      return method;
    }
  };
}

/**
 * The class Process of each start method, made once. As members of an export they cross to children by reference, and
 * with them the classes that extend them.
 */
export const boundProcesses = Object.freeze(
  Object.fromEntries(METHODS.map(method => [method, bind(method)])),
) as Readonly<Record<StartMethod, typeof Unbound>>;
