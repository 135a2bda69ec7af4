import type { Guard } from '../../sync/guard.js';
import { type Origin, RemoteObject } from '../remote-object.js';
import type { Grant } from '../served/lock.js';

/**
 * Over one acquisition of what a manager's server holds. Releasing it is told to the server at once, before all that this thread
 * asks of it afterwards, and is not waited for.
 */
export class RemoteGuard implements Guard {
  readonly abandoned: boolean;
  readonly #serial: number;
  /** Not the proxy: it may be disposed of while this is held. */
  #origin: Origin | undefined;

  constructor(proxy: RemoteObject, { serial, abandoned }: Grant) {
    this.#origin = RemoteObject.originOf(proxy);
    this.#serial = serial;
    this.abandoned = abandoned;
  }

  release(): void {
    const origin = this.#origin;
    if (origin === undefined) return;
    this.#origin = undefined;
    const { link, object, type } = origin;
    // It fails only if the server, or the object, is gone, and then it has been given back.
    link.call(object, type, type.numberOf('giveBack'), 'giveBack', [this.#serial]).catch(() => {});
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
