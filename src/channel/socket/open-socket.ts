import { setTimeout as sleep } from 'node:timers/promises';
import { TimeoutError } from '../../errors/errors.js';
import { native } from '../../native/native.js';
import type { WaitOptions } from '../../wait/options.js';
import { type Address, addressText, failure, type Place, placesOf } from './address.js';
import { type FrameOwner, FrameSocket } from './frame-socket.js';
import { type Credentials, Handshake } from './handshake.js';
import { Turn } from './turn.js';

/** How long to wait, ms, for a listener that has as many waiting as it may; each time twice as long. */
const FIRST_WAIT = 1;
const LONGEST_WAIT = 64;

const NOBODY: FrameOwner = { onFrame() {}, onEnd() {} };

/**
 * A connection to the listener at `address`, which both ends have proved. It is paused: to be given an owner, and resumed.
 * @throws {TimeoutError} It was not there when `timeout` had passed.
 * @throws {AuthenticationError} One end has another key.
 * @throws {EndOfFileError} The listener left in the midst of the handshake.
 * @throws {Error} Nobody listens there, or the like: with the `code` of the system.
 */
export async function openSocket(
  address: Address,
  credentials: Credentials,
  options: WaitOptions,
): Promise<FrameSocket> {
  const attempt = new Attempt(address, credentials);
  const turn = new Turn<FrameSocket>(new Set(), options, () => attempt.late());
  attempt.run().then(
    socket => turn.resolve(socket),
    error => turn.reject(error),
  );
  try {
    return await turn.promise;
  } catch (error) {
    attempt.stop();
    throw error;
  }
}

class Attempt {
  readonly #address: Address;
  readonly #credentials: Credentials;
  #socket: FrameSocket | undefined;
  #isConnected = false;
  #isOver = false;

  constructor(address: Address, credentials: Credentials) {
    this.#address = address;
    this.#credentials = credentials;
  }

  async run(): Promise<FrameSocket> {
    const socket = await this.#connected();
    this.#isConnected = true;
    await new Promise<void>((resolve, reject) => {
      new Handshake(socket, 'connects', this.#credentials, error => (error ? reject(error) : resolve()));
    });
    return socket;
  }

  stop(): void {
    this.#isOver = true;
    this.#socket?.close();
  }

  late(): Error {
    const why = this.#isConnected ? 'it has not answered in time' : 'it could not be reached in time';
    return new TimeoutError(
      `Cannot connect to ${addressText(this.#address)} as ${why}: see what listens there, or wait longer`,
    );
  }

  async #connected(): Promise<FrameSocket> {
    let error: unknown;
    try {
      for (const place of await placesOf(this.#address)) {
        try {
          return await this.#connectedTo(place);
        } catch (reason) {
          error ??= reason;
          this.#socket?.close();
        }
      }
    } catch (reason) {
      error = reason;
    }
    throw failure('connect to', this.#address, error);
  }

  async #connectedTo(place: Place): Promise<FrameSocket> {
    const socket = new FrameSocket(await this.#begun(place), NOBODY);
    this.#socket = socket;
    if (this.#isOver) socket.close();
    await new Promise<void>(resolve => socket.whenConnected(resolve));
    socket.check();
    return socket;
  }

  async #begun({ where, port }: Place): Promise<number> {
    for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
      try {
        return native.socketConnect(where, port);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EAGAIN' || this.#isOver) throw error;
      }
      await sleep(wait);
    }
  }
}
