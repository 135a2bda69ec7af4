import { type InspectOptionsStylized, inspect } from 'node:util';
import { ClosedError } from '../errors/errors.js';
import type { WaitOptions } from '../wait/options.js';
import type { Link } from './link.js';
import type { RemoteType } from './remote-type.js';

/** A class of proxies: RemoteObject, or one that extends it. */
export type RemoteClass = abstract new (origin: Origin) => RemoteObject;

/** What a proxy stands for. */
export interface Origin {
  readonly link: Link;
  readonly object: number;
  readonly type: RemoteType;
}

/** The same as the connection knows it. */
export interface Held extends Origin {
  isHeld: boolean;
}

/** When a proxy is collected, the server may drop what it stood for. */
const dropped = new FinalizationRegistry<Held>(letGo);

function letGo(held: Held): void {
  if (!held.isHeld) return;
  held.isHeld = false;
  held.link.letGo(held);
}

/**
 * Stands for an object that lives in a manager's server: each of its methods calls that of the object, over the connection that
 * this thread has to the server.
 *
 * Crossing: a proxy may be sent to any thread or process of the program, by whatever way. There it is a proxy of the same object.
 * Life: the object lives as long as a proxy of it does, on its way or had by somebody who has not ended.
 *
 * Python: `multiprocessing.managers.BaseProxy`.
 */
export class RemoteObject implements AsyncDisposable {
  readonly #held: Held;

  /** @internal */
  constructor({ link, object, type }: Origin) {
    this.#held = { link, object, type, isHeld: true };
    link.hasProxy(this.#held);
    dropped.register(this, this.#held, this.#held);
  }

  /** What a proxy stands for, or stood for. */
  static heldBy(proxy: RemoteObject): Readonly<Held> {
    return proxy.#held;
  }

  /** Calls a method by its number in the proxy's type; 0: by its name. */
  static call(proxy: RemoteObject, method: number, args: readonly unknown[], name = ''): Promise<unknown> {
    const { link, object, type, isHeld } = proxy.#held;
    if (isHeld) return link.call(object, type, method, name, args);
    return Promise.reject(RemoteObject.#disposed(proxy, name || type.names[method - 1]));
  }

  static #disposed(proxy: RemoteObject, method: string): ClosedError {
    const { typeid } = proxy.#held.type;
    return new ClosedError(
      `Cannot call ${typeid}.${method}() as this proxy was disposed of: keep it as long as you need it`,
    );
  }

  /**
   * Calls a method of the object by name. Giving up, by `signal` or after `timeout` ms, tells the server: this rejects then, with the
   * signal's reason or TimeoutError, unless the method has had its effect by then and returns all the same.
   */
  protected call(method: string, args: readonly unknown[] = [], options?: WaitOptions): Promise<any> {
    const { link, object, type, isHeld } = this.#held;
    if (!isHeld) return Promise.reject(RemoteObject.#disposed(this, method));
    return link.call(object, type, type.numberOf(method), method, args, options);
  }

  /** Lets go of the object. A second call does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    dropped.unregister(this.#held);
    letGo(this.#held);
  }

  /** @internal */
  [inspect.custom](_depth: number, options: InspectOptionsStylized): string {
    const { link, object, type, isHeld } = this.#held;
    const state = isHeld ? (link.isOpen ? '' : ' <lost>') : ' <disposed>';
    return `${options.stylize(`Proxy<${type.typeid}>`, 'special')} ${object} at ${link.place}${state}`;
  }
}
