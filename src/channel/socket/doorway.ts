import { createHash } from 'node:crypto';
import { lstatSync, statSync, unlinkSync } from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { EndOfFileError, NameInUseError } from '../../errors/errors.js';
import { native } from '../../native/native.js';
import { atDeadline } from '../../wait/deadlines.js';
import { type Address, addressText, failure, hostText, isPath, type Place, placesOf } from './address.js';
import { type FrameOwner, FrameSocket } from './frame-socket.js';
import { type Credentials, Handshake } from './handshake.js';
import { type Inheritable, isClosed, keepFromForks } from './open-sockets.js';

/** So many strangers at once may be proving who they are; others wait with the kernel. */
const MOST_STRANGERS = 512;
/** How long a stranger may take, ms; and when others wait for his place. */
const PATIENCE = 5000;
const LITTLE_PATIENCE = 1000;
/** How long to wait, ms, when there is no descriptor for another. */
const PAUSE = 100;
/** So many are let in before others on the event loop have their turn. */
const AT_ONCE = 64;

const NOBODY: FrameOwner = { onFrame() {}, onEnd() {} };
const AGAIN = -constants.errno.EAGAIN;
const OUT_OF_DESCRIPTORS: readonly number[] = [
  -constants.errno.EMFILE,
  -constants.errno.ENFILE,
  -constants.errno.ENOBUFS,
  -constants.errno.ENOMEM,
];

/** Whom a Doorway tells. None of these may throw. */
export interface Host {
  /** May nobody be let in now? Say by Doorway.goOn() when that is over. */
  isFull(): boolean;
  /** Somebody has come and both ends have proved the key. The socket is paused: to be given an owner, and resumed. */
  onVisitor(socket: FrameSocket, peer: string): void;
  /** Somebody has given a wrong proof, or takes ours for wrong: AuthenticationError. Who just leaves, or says nothing, is not told of. */
  onRefused(error: Error): void;
}

/**
 * A listening socket, and those who have come to it until they have proved the key. Handshakes run beside each other, so that one who
 * is slow or silent holds up nobody. It does not keep the event loop alive.
 */
export class Doorway implements Inheritable {
  readonly address: Address;
  #fd: number;
  readonly #credentials: Credentials;
  readonly #host: Host;
  readonly #file: File | undefined;
  /** Since when, by performance.now(); in the order in which they came. */
  readonly #strangers = new Map<Handshake, number>();
  #isWatching = false;
  #cancelTimer: (() => void) | undefined;

  /**
   * Listens. The file of a Unix socket is its owner's alone. If one is left there by a program that has ended, it is replaced.
   * @throws {NameInUseError} Somebody listens there, or the path is that of another file.
   * @throws {Error} It cannot be, for a reason of the system's: with its `code`.
   */
  static async open(
    address: Address,
    backlog: number,
    credentials: Credentials,
    host: Host,
  ): Promise<Doorway> {
    let place: Place;
    try {
      [place] = await placesOf(address);
      return new Doorway(listen(address, place, backlog), address, credentials, host);
    } catch (error) {
      if (error instanceof NameInUseError) throw error;
      throw failure('listen at', address, error);
    }
  }

  private constructor(fd: number, address: Address, credentials: Credentials, host: Host) {
    this.#fd = fd;
    this.#credentials = credentials;
    this.#host = host;
    native.socketWatch(fd, () => this.#letIn());
    keepFromForks(this);
    if (isPath(address)) this.#file = File.made(address);
    const [, port] = native.socketAddress(fd, 0) ?? [];
    this.address = typeof address === 'string' || port === undefined ? address : { host: address.host, port };
    this.goOn();
  }

  get isOpen(): boolean {
    return this.#fd >= 0;
  }

  /** Lets people in again. */
  goOn(): void {
    this.#watch(this.#fd >= 0 && !this.#isFull);
  }

  close(): void {
    if (this.#fd < 0) return;
    this.#file?.remove();
    isClosed(this);
    this.abandon();
  }

  /** @internal In the child of a fork: the file is the parent's. */
  abandon(): void {
    if (this.#fd < 0) return;
    native.socketClose(this.#fd);
    this.#fd = -1;
    this.#file?.forget();
    this.#cancelTimer?.();
    for (const stranger of this.#strangers.keys()) stranger.drop();
    this.#strangers.clear();
  }

  get #isFull(): boolean {
    return this.#host.isFull() || this.#strangers.size >= MOST_STRANGERS;
  }

  #watch(isOn: boolean): void {
    if (isOn === this.#isWatching || this.#fd < 0) return;
    this.#isWatching = isOn;
    native.socketWant(this.#fd, isOn ? 1 : 0, 0);
  }

  #letIn(): void {
    for (let i = 0; i < AT_ONCE && this.#fd >= 0; i++) {
      if (this.#isFull) {
        this.#watch(false);
        this.#look(); // who may have to leave by now
        return;
      }
      const fd = native.socketAccept(this.#fd);
      if (fd === AGAIN) return;
      if (OUT_OF_DESCRIPTORS.includes(fd)) {
        this.#watch(false);
        atDeadline(performance.now() + PAUSE, () => this.goOn(), false);
        return;
      }
      if (fd >= 0) this.#greet(fd); // else he has left already
    }
  }

  #greet(fd: number): void {
    const socket = new FrameSocket(fd, NOBODY);
    const [host, port] = socket.peer ?? [];
    const peer = host === undefined ? '' : hostText(host, port as number);
    const stranger: Handshake = new Handshake(socket, 'listens', this.#credentials, error => {
      this.#strangers.delete(stranger);
      if (!error) this.#host.onVisitor(socket, peer);
      else if (!(error instanceof EndOfFileError)) this.#host.onRefused(error);
      this.goOn();
    });
    this.#strangers.set(stranger, performance.now());
    if (!this.#cancelTimer) this.#look();
  }

  /** Shows those the door who have taken too long. */
  #look(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    const patience = this.#strangers.size >= MOST_STRANGERS ? LITTLE_PATIENCE : PATIENCE;
    const latest = performance.now() - patience;
    for (const [stranger, since] of this.#strangers) {
      if (since > latest) {
        this.#cancelTimer = atDeadline(since + patience, () => this.#look(), false);
        break;
      }
      stranger.drop();
      this.#strangers.delete(stranger);
    }
    this.goOn();
  }
}

/** The file of a Unix socket. It goes with its listener, or with its thread; not if it has become another's meanwhile. */
class File {
  readonly #path: string;
  readonly #inode: number;

  static made(file: string): File | undefined {
    try {
      return new File(path.resolve(file), statSync(file).ino);
    } catch {
      return undefined; // somebody has removed it already
    }
  }

  private constructor(file: string, inode: number) {
    this.#path = file;
    this.#inode = inode;
    if (files.size === 0) process.on('exit', removeAll);
    files.add(this);
  }

  remove(): void {
    this.forget();
    try {
      if (lstatSync(this.#path).ino === this.#inode) unlinkSync(this.#path);
    } catch {
      // somebody has removed it, or its folder
    }
  }

  forget(): void {
    files.delete(this);
    if (files.size === 0) process.off('exit', removeAll);
  }
}

const files = new Set<File>();

function removeAll(): void {
  for (const file of files) file.remove();
}

function listen(address: Address, { where, port }: Place, backlog: number): number {
  try {
    return native.socketListen(where, port, backlog);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
    if (!isPath(address)) throw inUse(address, error);
    return takeOver(address, () => native.socketListen(where, port, backlog));
  }
}

/**
 * Replaces the file that a dead program has left behind. Of several who find it one does so: they exclude each other by a name, which
 * the kernel takes back from the dead.
 */
function takeOver(file: string, again: () => number): number {
  const name = `manyhands.listen.${createHash('sha256').update(path.resolve(file)).digest('hex')}`;
  let guard: number;
  try {
    guard = native.nameBind(name);
  } catch (error) {
    throw inUse(file, error); // by one who replaces it right now
  }
  try {
    const stat = lstatSync(file, { throwIfNoEntry: false });
    if (stat && !stat.isSocket())
      throw new NameInUseError(
        `Cannot listen at ${file} as there is a file that is no socket: take another path, or remove it`,
      );
    if (isAnswered(file)) throw inUse(file);
    if (stat) unlinkSync(file);
    return again();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') throw inUse(file, error);
    throw error;
  } finally {
    native.closeGuarded(guard);
  }
}

/** Does somebody listen there? If it cannot be told, somebody may. */
function isAnswered(file: string): boolean {
  let fd: number;
  try {
    fd = native.socketConnect(Buffer.from(file), 0);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'ECONNREFUSED' && code !== 'ENOENT';
  }
  native.close(fd);
  return true;
}

function inUse(address: Address, cause?: unknown): NameInUseError {
  return new NameInUseError(
    `Cannot listen at ${addressText(address)} as somebody listens there already: take another address, or end that program`,
    { cause },
  );
}
