import { type Client, currentCall } from '../call.js';
import type { Waiter } from './line.js';

/** What may have something of a client's: a lock that it holds, a queue of whose items it owes taskDone(). */
export interface Estate {
  /** The client is gone: what it had comes back. Nothing of it waits anywhere by now. */
  inherit(from: Owner): void;
}

/**
 * What one client, a thread that has a connection, waits for and has. When its connection ends, however it does, it first leaves
 * every line, so that nothing is given to it any more, and then all that it had is inherited.
 */
export class Owner {
  /** As `process 4711, thread 1`, for messages. */
  readonly name: string;
  readonly waits = new Set<Waiter<any, any>>();
  readonly estates = new Set<Estate>();
  #isOver = false;

  constructor(name: string) {
    this.name = name;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  end(): void {
    this.#isOver = true;
    for (const waiter of [...this.waits]) waiter.abort(new Error('The client has gone'));
    for (const estate of [...this.estates]) estate.inherit(this);
  }
}

const owners = new WeakMap<Client, Owner>();
/** Of what the server's own code does with its objects. */
const own = new Owner('the server');

/** Whose call the server is running. To be asked before the method's first await. */
export function caller(): Owner {
  const client = currentCall()?.client;
  if (client === undefined) return own;
  let owner = owners.get(client);
  if (owner === undefined) {
    const begun = new Owner(client.name);
    owners.set(client, begun);
    client.onEnd(() => begun.end());
    owner = begun;
  }
  return owner;
}
