import { RemoteObject } from '../remote-object.js';

/**
 * A few values by name in a manager's server. Values are copies, as a dict's are.
 *
 * Python: `SyncManager.Namespace`, whose values are attributes.
 */
export class NamespaceProxy<T extends object = Record<string, any>> extends RemoteObject {
  /** What has that name; undefined if nothing has. */
  get<K extends keyof T>(key: K): Promise<T[K]> {
    return this.call('get', [key]);
  }

  /** Gives a value that name. */
  set<K extends keyof T>(key: K, value: T[K]): Promise<void> {
    return this.call('set', [key, value]);
  }

  /** True: there was something of that name. */
  delete(key: keyof T): Promise<boolean> {
    return this.call('delete', [key]);
  }

  /** Is there something of that name? */
  has(key: keyof T): Promise<boolean> {
    return this.call('has', [key]);
  }

  /** All of it as a plain object. */
  toObject(): Promise<T> {
    return this.call('toObject');
  }
}
