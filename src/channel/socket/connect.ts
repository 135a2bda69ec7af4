import { inspect } from 'node:util';
import { checkWait, type WaitOptions } from '../../wait/options.js';
import type { Connection } from '../connection.js';
import { type Address, checkAddress } from './address.js';
import { credentialsOf, type ProofOptions } from './credentials.js';
import { openSocket } from './open-socket.js';
import { SocketConnection } from './socket-connection.js';

/** Whom {@link connect | connect()} is to reach, by which key, and how long it may take. */
export interface ConnectOptions extends ProofOptions, WaitOptions {
  /** See {@link Listener.address}. */
  address: Address;
}

/**
 * Connects to a Listener, in any program on this machine or another, or to CPython's `multiprocessing.connection.Listener`. Both ends
 * prove that they have the same key.
 *
 * Python: `multiprocessing.connection.Client`, which proves nothing without an `authkey`.
 *
 * @throws {AuthenticationError} One end has another key, or what listens there is something else.
 * @throws {TimeoutError} It was not done when `timeout` had passed: nobody answers. Without `timeout`, it waits as long as that takes.
 * @throws {EndOfFileError} The listener left in the midst of the handshake.
 * @throws {Error} Nobody listens there, or the system does not let it: with the system's `code`, as ECONNREFUSED.
 * @throws {TypeError | RangeError} The address or key is none.
 */
export async function connect<T = any>(options: ConnectOptions): Promise<Connection<T>> {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(`Cannot connect with ${inspect(options)} as options: give an object, as { address }`);
  checkWait(options);
  const { timeout, signal } = options;
  const address = checkAddress(options.address);
  return new SocketConnection<T>(await openSocket(address, credentialsOf(options), { timeout, signal }));
}
