import { constants, fstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { NameInUseError, OutOfMemoryError, TimeoutError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { GRANULE, NamedExtent, within } from './named-extent.js';
import { HEADER, MAGIC, OBJECT, VERSION } from './named-layout.js';

/*
 * Finding the memory of a name, or making it. NAMED.md tells why it is done so, and what can go wrong in between.
 */

/** How long opening a name waits for others that open it, ms. */
const PATIENCE = 5_000;

/** What is shared by a name. */
export interface Wanted {
  readonly kind: string;
  readonly name: string;
  readonly words: number;
  /** Bytes of memory behind the words. */
  readonly extent: number;
  /** Fills in the words of a new one; `at` is the index of the first. */
  readonly init: (words: Int32Array, at: number) => void;
}

/** The memory of one name, as one thread has it. */
export class NamedFile {
  readonly words: Int32Array;
  readonly extent: NamedExtent | undefined;
  readonly #address: Address;
  readonly #fd: number;
  /** The socket by which others find this thread. */
  #sign: number;

  private constructor(address: Address, fd: number, words: Int32Array, wanted: Wanted) {
    this.#address = address;
    this.#fd = fd;
    this.words = words;
    if (wanted.extent > 0)
      this.extent = new NamedExtent(nameOf(wanted), fd, bytesFor(wanted.words), wanted.extent);
    this.#sign = address.putUpSign(fd);
  }

  /**
   * Finds the memory or makes it. `joined` runs before anyone else can open that name.
   * @throws {NameInUseError | TimeoutError | OutOfMemoryError}
   */
  static open(wanted: Wanted, joined: (file: NamedFile) => void): NamedFile {
    const address = new Address(wanted.name);
    return address.alone(() => {
      const [fd, words] = find(address, wanted) ?? make(wanted);
      try {
        const file = new NamedFile(address, fd, words, wanted);
        try {
          joined(file);
        } catch (error) {
          native.closeGuarded(file.#sign);
          throw error;
        }
        return file;
      } catch (error) {
        native.closeGuarded(fd);
        throw error;
      }
    });
  }

  /** Runs `act` while nobody else opens this name. */
  alone<T>(act: () => T): T {
    return this.#address.alone(act);
  }

  /** In a forked child: the sign is the parent's. The memory is the child's as well. */
  takeOver(): void {
    const inherited = this.#sign;
    this.#sign = this.#address.putUpSign(this.#fd);
    native.closeGuarded(inherited);
  }

  close(): void {
    this.extent?.close();
    native.closeGuarded(this.#sign);
    native.closeGuarded(this.#fd);
  }
}

/** That a process has the memory of a name, and as which descriptor. */
interface Sign {
  readonly pid: string;
  readonly fd: string;
}

/** The names of sockets by which the programs of one user find each other, in one namespace of processes. */
class Address {
  readonly #name: string;
  readonly #prefix: string;
  /** Who was found to be opening the name. */
  #holder: readonly [pid: number, uid: number] = [0, user()];

  constructor(name: string) {
    this.#name = name;
    // Loaded on first use: it is large, and few threads open names.
    const { createHash } = require('node:crypto') as typeof import('node:crypto');
    const digest = createHash('sha256').update(name).digest('hex').slice(0, 32);
    const namespace = /\d+/.exec(readlinkSync(`/proc/${native.processId()}/ns/pid`))?.[0];
    this.#prefix = `manyhands/${user()}/${namespace}/${digest}`;
  }

  /** Runs `act` while nobody else does so. The kernel takes the socket away from one that dies over it. */
  alone<T>(act: () => T): T {
    const deadline = performance.now() + PATIENCE;
    this.#holder = [0, user()];
    for (let tries = 0; ; tries++) {
      const held = this.#take();
      if (held !== undefined) {
        try {
          return act();
        } finally {
          native.closeGuarded(held);
        }
      }
      const late = performance.now() > deadline;
      if (late || tries % 256 === 16) this.#askWhoIsAtIt(late);
      sleep(1);
    }
  }

  #take(): number | undefined {
    try {
      return native.nameBind(`${this.#prefix}/open`);
    } catch (error) {
      if (codeOf(error) === 'EADDRINUSE') return undefined;
      throw error;
    }
  }

  #askWhoIsAtIt(late: boolean): void {
    this.#holder = native.nameHolder(`${this.#prefix}/open`) ?? this.#holder; // it answers to so many only
    const [pid, uid] = this.#holder;
    if (uid !== user())
      throw new NameInUseError(
        `Cannot open "${this.#name}" as process ${pid} of user ${uid} holds its address: end that process, or take another name`,
      );
    if (late)
      throw new TimeoutError(
        `Cannot open "${this.#name}" as ${pid === 0 ? 'another' : `process ${pid}`} has been opening it for ${PATIENCE} ms: look whether it is stopped`,
      );
  }

  /** Lets others know that this process has the memory, as descriptor `fd`. Returns what takes the sign down when closed. */
  putUpSign(fd: number): number {
    return native.nameBind(`${this.#prefix}/${native.processId()}/${fd}`);
  }

  /** Is it a process of this user that has put up this sign, which it alone can have done? */
  isOwn({ pid, fd }: Sign): boolean {
    return native.nameHolder(`${this.#prefix}/${pid}/${fd}`)?.[1] === user();
  }

  /** Who has put up signs; undefined: it cannot be told. They are claims: anybody can put up one. */
  signs(): Sign[] | undefined {
    try {
      const table = readFileSync('/proc/net/unix', 'latin1');
      const sign = new RegExp(`@${this.#prefix}/(\\d+)/(\\d+)$`, 'gm');
      return [...table.matchAll(sign)].map(([, pid, fd]) => ({ pid, fd }));
    } catch {
      return undefined;
    }
  }
}

function make(wanted: Wanted): [fd: number, words: Int32Array] {
  const { kind, name, words: count, init } = wanted;
  const whose = nameOf(wanted);
  const size = sizeFor(wanted);
  const fd = within(whose, size, () => native.memoryCreate(`manyhands:${kind}:${name}`, size));
  try {
    const words = mapWords(fd, size, wanted);
    words[HEADER.VERSION] = VERSION;
    words[HEADER.WORDS] = count;
    words[HEADER.MEMBERS_USED] = 1;
    init(words, OBJECT);
    Atomics.store(words, HEADER.MAGIC, MAGIC);
    return [fd, words];
  } catch (error) {
    native.closeGuarded(fd);
    throw error;
  }
}

function mapWords(fd: number, size: number, wanted: Wanted): Int32Array {
  const bytes = Math.min(size, bytesFor(wanted.words));
  return new Int32Array(within(nameOf(wanted), bytes, () => native.memoryMap(fd, size, 0, bytes)));
}

/** Bytes that so many words of an object take, with the header before them; what lies behind them can be mapped from there. */
function bytesFor(words: number): number {
  return Math.ceil(((OBJECT + words) * 4) / GRANULE) * GRANULE;
}

function sizeFor({ words, extent }: Wanted): number {
  return bytesFor(words) + extent;
}

function nameOf({ kind, name }: Wanted): string {
  return `${kind} "${name}"`;
}

/** The memory, if any process has it. To be called while nobody else opens the name. */
function find(address: Address, wanted: Wanted): [fd: number, words: Int32Array] | undefined {
  const signs = address.signs();
  let isSure = signs !== undefined;
  for (const sign of signs ?? []) {
    const found = openFrom(sign, wanted);
    if (found) return found;
    if (isHidden(sign) && address.isOwn(sign))
      throw new NameInUseError(
        `Cannot open the ${wanted.kind} "${wanted.name}" as process ${sign.pid}, which has it, may not be looked into: start both with equal rights, not by giving up rights while they run`,
      );
    isSure = false; // its process may have died, and left the memory with a forked child that has no sign yet
  }
  return isSure ? undefined : search(wanted);
}

/** Looks through all processes. Takes milliseconds. */
function search(wanted: Wanted): [fd: number, words: Int32Array] | undefined {
  for (const pid of readdirSync('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of descriptorsOf(pid)) {
      const found = openFrom({ pid, fd }, wanted);
      if (found) return found;
    }
  }
  return undefined;
}

function descriptorsOf(pid: string): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`);
  } catch {
    return []; // gone, or another user's
  }
}

/** Undefined: that descriptor is no memory of this name, or not any more. @throws {NameInUseError} */
function openFrom(sign: Sign, wanted: Wanted): [fd: number, words: Int32Array] | undefined {
  const path = pathOf(sign);
  if (kindAt(path, wanted.name) === undefined) return undefined;
  let fd: number;
  try {
    fd = native.openGuarded(path, constants.O_RDWR);
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'EACCES') return undefined;
    throw error;
  }
  try {
    // Asked again: the number may have come to mean something else before it was opened.
    const kind = kindAt(`/proc/self/fd/${fd}`, wanted.name);
    const { uid, size } = fstatSync(fd);
    if (kind !== undefined && uid === user()) {
      const words = check(fd, size, kind, sign.pid, wanted);
      if (words) return [fd, words];
    }
    native.closeGuarded(fd);
    return undefined;
  } catch (error) {
    native.closeGuarded(fd);
    throw error;
  }
}

function pathOf({ pid, fd }: Sign): string {
  return `/proc/${pid}/fd/${fd}`;
}

/** Does the kernel keep the descriptors of that process from this one? */
function isHidden(sign: Sign): boolean {
  try {
    readlinkSync(pathOf(sign));
    return false;
  } catch (error) {
    return codeOf(error) === 'EACCES' || codeOf(error) === 'EPERM';
  }
}

/** The kind of the object of this name, if that is what the descriptor is. */
function kindAt(path: string, name: string): string | undefined {
  try {
    const link = /^\/memfd:manyhands:([^:]+):(.*) \(deleted\)$/s.exec(readlinkSync(path));
    return link?.[2] === name ? link[1] : undefined;
  } catch {
    return undefined;
  }
}

function check(fd: number, size: number, kind: string, pid: string, wanted: Wanted): Int32Array | undefined {
  const { kind: wantedKind, name } = wanted;
  if (kind !== wantedKind)
    throw new NameInUseError(
      `Cannot open the ${wantedKind} "${name}" as process ${pid} has a ${kind} of that name: take another name for one of them`,
    );
  let words: Int32Array;
  try {
    words = mapWords(fd, size, wanted);
  } catch (cause) {
    if (cause instanceof OutOfMemoryError) throw cause;
    throw notOurs(kind, name, pid, { cause });
  }
  if (words[HEADER.MAGIC] === 0) return undefined; // its maker died over it
  if (
    words[HEADER.MAGIC] !== MAGIC ||
    words[HEADER.VERSION] !== VERSION ||
    words[HEADER.WORDS] !== wanted.words ||
    size !== sizeFor(wanted)
  )
    throw notOurs(kind, name, pid);
  return words;
}

function notOurs(kind: string, name: string, pid: string, options?: ErrorOptions): NameInUseError {
  return new NameInUseError(
    `Cannot open the ${kind} "${name}" as that of process ${pid} is of another version of manyhands: use one version in all programs that share it, or take another name`,
    options,
  );
}

function user(): number {
  return process.geteuid?.() ?? 0;
}

function codeOf(error: unknown): unknown {
  return (error as NodeJS.ErrnoException).code;
}

const clock = new Int32Array(new SharedArrayBuffer(4));

function sleep(ms: number): void {
  Atomics.wait(clock, 0, 0, ms);
}
