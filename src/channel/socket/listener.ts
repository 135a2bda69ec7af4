import { inspect } from 'node:util';
import { registerRefusal } from '../../codec/handles.js';
import { Failure } from '../../codec/path.js';
import { ClosedError, LifecycleError, TimeoutError } from '../../errors/errors.js';
import { checkWait, type WaitOptions } from '../../wait/options.js';
import type { Connection } from '../connection.js';
import { type Address, addressText, checkAddress } from './address.js';
import { credentialsOf, type ProofOptions } from './credentials.js';
import { Doorway, type Host } from './doorway.js';
import type { FrameSocket } from './frame-socket.js';
import type { Credentials } from './handshake.js';
import { SocketConnection } from './socket-connection.js';
import { firstOf, Turn, type Turns } from './turn.js';

/** Where a {@link Listener} listens, and whom it lets in. */
export interface ListenerOptions extends ProofOptions {
  /** See {@link Listener.address}. */
  address: Address;
  /** So many may have come and not been accepted; others wait. Default 128. */
  backlog?: number;
}

const BACKLOG = 128;
const LONGEST_BACKLOG = 65_535;

/** Somebody who has come: his connection and his address, or why he was turned away. */
type Arrival = { readonly connection: Connection; readonly peer: string } | { readonly error: Error };

/**
 * Waits at an address for those who {@link connect | connect()}, in any program on this machine or another, and for CPython's
 * `multiprocessing.connection.Client`.
 *
 * Both ends prove that they have the same key, by HMAC-SHA-256, before anything else; whoever cannot is turned away, and no byte of his is
 * ever taken for a value. That happens from listen() on, whether somebody accepts or not, for up to 512 at a time, for each of whom there is
 * 5 s. accept() gives them in the order in which they have proved it.
 *
 * A listener belongs to its thread, and keeps the program alive only while accept() waits. It is closed with its thread.
 *
 * Python: `multiprocessing.connection.Listener`, which listens from its making, proves nothing without an `authkey`, and waits for
 * a peer that is silent as long as that is.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { connect, Listener, Process } from 'manyhands';
 *
 * await using listener = new Listener({ address: { host: '127.0.0.1', port: 0 } });
 * await listener.listen();
 * const { address } = listener; // with the port that the system has chosen
 * const greet = async () => {
 *   using server = await connect({ address });
 *   await server.send('hello');
 * };
 * const client = new Process({ target: greet }).start(); // which has the program's key
 * using connection = await listener.accept();
 * assert.equal(await connection.recv(), 'hello');
 * await client.join();
 * ```
 */
export class Listener implements AsyncDisposable {
  readonly #given: Address;
  readonly #backlog: number;
  readonly #credentials: Credentials;
  readonly #accepting: Turns<Turn<Connection>> = new Set();
  readonly #arrived: Arrival[] = [];
  #opening: Promise<this> | undefined;
  #doorway: Doorway | undefined;
  #lastAccepted: string | undefined;
  #isClosed = false;

  /** @throws {TypeError | RangeError} The address, key or backlog is none. */
  constructor(options: ListenerOptions) {
    if (typeof options !== 'object' || options === null)
      throw new TypeError(
        `Cannot listen with ${inspect(options)} as options: give an object, as { address }`,
      );
    const { address, backlog = BACKLOG } = options;
    if (typeof backlog !== 'number')
      throw new TypeError(`Cannot use ${inspect(backlog)} as "backlog": give a number of connections`);
    if (!(Number.isInteger(backlog) && backlog >= 1 && backlog <= LONGEST_BACKLOG))
      throw new RangeError(
        `Cannot use ${backlog} as "backlog": give a whole number from 1 to ${LONGEST_BACKLOG}`,
      );
    this.#given = checkAddress(address);
    this.#backlog = backlog;
    this.#credentials = credentialsOf(options);
  }

  /**
   * Where it listens: the path of a Unix socket; an abstract name after a NUL (which is no file; `@` is a character as any other); or
   * `{ host, port }`, which means TCP. Port 0 lets the system choose: after listen() the port is the one that it has chosen.
   */
  get address(): Address {
    return this.#doorway?.address ?? this.#given;
  }

  /** The peer of the last connection that was accepted, as `host:port`; '' over a Unix socket. Undefined: none was yet. */
  get lastAccepted(): string | undefined {
    return this.#lastAccepted;
  }

  /**
   * Begins to listen. The file of a Unix socket may be used by this user only, from the first. If there is one that a program left behind
   * which has ended, it is replaced.
   * @throws {NameInUseError} Somebody listens there, or the path is that of another file.
   * @throws {LifecycleError} It has begun already.
   * @throws {ClosedError} It was closed.
   * @throws {Error} The system does not let it: with the system's `code`.
   */
  listen(): Promise<this> {
    if (this.#isClosed) return Promise.reject(this.#closed('listen at'));
    if (this.#opening)
      return Promise.reject(
        new LifecycleError(`Cannot listen at ${this.#name} as it does already: call listen() once`),
      );
    this.#opening = this.#open();
    return this.#opening;
  }

  async #open(): Promise<this> {
    const host: Host = {
      isFull: () => this.#arrived.length >= this.#backlog,
      onVisitor: (socket, peer) => this.#welcome(socket, peer),
      onRefused: error => this.#arrive({ error }),
    };
    try {
      const doorway = await Doorway.open(this.#given, this.#backlog, this.#credentials, host);
      this.#doorway = doorway;
      if (this.#isClosed) doorway.close();
    } catch (error) {
      this.#opening = undefined;
      throw error;
    }
    if (this.#isClosed) throw this.#closed('listen at');
    return this;
  }

  /**
   * The next connection. In line by the time the call returns, if it has to wait; one that gives up loses no connection.
   * @throws {AuthenticationError} Somebody came who answered wrongly, or takes our key for wrong. Call it again for the next. Of those who leave
   *   in the midst of the handshake, or say nothing for 5 s, it does not tell.
   * @throws {TimeoutError} Nobody had come when `timeout` had passed.
   * @throws {ClosedError} It was closed, perhaps meanwhile.
   * @throws {LifecycleError} It does not listen yet.
   */
  async accept(options: WaitOptions = {}): Promise<Connection> {
    checkWait(options);
    if (this.#isClosed || this.#doorway?.isOpen === false) throw this.#closed('accept at');
    if (!this.#doorway)
      throw new LifecycleError(`Cannot accept at ${this.#name} as it does not listen: await listen() first`);
    const arrival = this.#arrived.shift();
    if (!arrival) return new Turn<Connection>(this.#accepting, options, () => this.#late()).promise;
    this.#doorway.goOn();
    return this.#accepted(arrival);
  }

  /** Stops to listen, removes the socket's file, and hangs up on those who were not accepted. What accept() gave goes on. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#doorway?.close();
    for (const arrival of this.#arrived.splice(0)) if ('connection' in arrival) arrival.connection.close();
    for (const turn of [...this.#accepting]) turn.reject(this.#closed('accept at'));
  }

  /** The same as {@link close | close()}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #welcome(socket: FrameSocket, peer: string): void {
    this.#arrive({ connection: new SocketConnection(socket), peer });
  }

  #arrive(arrival: Arrival): void {
    const turn = firstOf(this.#accepting);
    if (!turn) {
      this.#arrived.push(arrival);
      return;
    }
    try {
      turn.resolve(this.#accepted(arrival));
    } catch (error) {
      turn.reject(error);
    }
  }

  #accepted(arrival: Arrival): Connection {
    if ('error' in arrival) throw arrival.error;
    this.#lastAccepted = arrival.peer;
    return arrival.connection;
  }

  get #name(): string {
    return addressText(this.address);
  }

  #late(): Error {
    return new TimeoutError(`Cannot accept at ${this.#name} as nobody came in time: wait longer`);
  }

  #closed(act: string): Error {
    return new ClosedError(
      `Cannot ${act} ${this.#name} as the listener was closed, or is that of the process which forked this one: make another`,
    );
  }
}

registerRefusal(Listener, () => new Failure('this listener is its thread’s', 'send its address'));
