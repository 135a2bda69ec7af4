import { constants } from 'node:buffer';
import { type InspectOptionsStylized, inspect } from 'node:util';
import { registerHandle } from '../codec/handles.js';
import { ClosedError, NameInUseError, NameNotFoundError, OutOfMemoryError } from '../errors/errors.js';
import { self } from '../memory/participants.js';
import { native } from '../native/native.js';
import { memoryAvailable } from '../platform/platform.js';

/** Which block of memory, and whether to make it. */
export interface SharedMemoryOptions {
  /** Which one. A new one without a name is given one. A leading `/` makes no difference. */
  name?: string;
  /** True: makes it. False, the default: attaches to the one that is there. */
  create?: boolean;
  /** Bytes of a new one. What is there has its own. */
  size?: number;
}

/** Of a name, in bytes of UTF-8: what file systems take. */
const LONGEST_NAME = 255;
/** From here on it is asked first whether there is so much memory: the kernel would end processes to make room. */
const LARGE = 64 * 2 ** 20;
/** CPython makes a block and gives it its size in two steps. How often to look for the second, and how long between, ms. */
const LOOKS = 100;
const BETWEEN_LOOKS = 1;

/** Those of this thread, by the inodes of their blocks, so that `===` holds for what comes back to it. */
const known = new Map<number, WeakRef<SharedMemory>>();
const collected = new FinalizationRegistry((inode: number) => {
  if (known.get(inode)?.deref() === undefined) known.delete(inode);
});

/**
 * A block of memory by name, the same one that CPython's `multiprocessing.shared_memory.SharedMemory` opens. Any program of the same
 * user on this machine can attach to it and sees the same bytes at once; nothing is copied, and nothing orders what several do to
 * it: that takes a lock.
 *
 * A block belongs to the program, with all its processes, that has made it. It is there until somebody calls `unlink()`, or until
 * the last process of that program has ended, even if all were killed. Attaching never owns: what an attached program does at its end,
 * in whatever way it ends, is of no consequence for the block.
 *
 * It crosses, to threads and processes and by queues, as its name: over there it is attached to. If it was removed on the way, what
 * brings it throws SerializationError, with the NameNotFoundError as its cause.
 *
 * Memory: that of a new block is set aside when it is made, so that none is missing later on. It lies in /dev/shm, which has a limit
 * of its own (64 MiB in many containers).
 *
 * Python: the same. But a program there that has attached to a block removes it when it ends, unless it has said `track=False`, which
 * Python knows from 3.13 on. And the memory of a new block is not set aside there.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Process, SharedMemory } from 'manyhands';
 *
 * using block = new SharedMemory({ create: true, size: 16 });
 * const write = (name: string) => {
 *   const same = new SharedMemory({ name }); // as any other program would find it
 *   new Uint8Array(same.buf).fill(7);
 *   same.close();
 * };
 * await new Process({ target: write, args: [block.name] }).start().join();
 * assert.equal(new Uint8Array(block.buf)[15], 7);
 * ```
 */
export class SharedMemory implements Disposable {
  readonly #name: string;
  readonly #inode: number;
  readonly #size: number;
  #buffer: ArrayBuffer | undefined;
  /** The process that has made it by this object and not removed it; 0: it was attached to. */
  #maker = 0;

  /**
   * With `create: true` a new block of `size` bytes, all zero; else the block of that name.
   * @throws {TypeError} An option is of the wrong kind, or there is no name to attach to.
   * @throws {RangeError} The name is none, or the size no integer from 1 to what an ArrayBuffer holds.
   * @throws {NameInUseError} It is to be made and is there already, or it is another user's.
   * @throws {NameNotFoundError} It is to be attached to and is not there.
   * @throws {OutOfMemoryError} /dev/shm or this machine has no room for it.
   */
  constructor(options: SharedMemoryOptions) {
    if (typeof options !== 'object' || options === null)
      throw new TypeError(
        'Cannot tell which SharedMemory is meant: give { name }, or { create: true, size }',
      );
    const { name, create = false, size } = options;
    if (typeof create !== 'boolean') throw new TypeError('The option "create" must be true or false');
    const given = name === undefined ? undefined : checkName(name);
    if (!create && given === undefined)
      throw new TypeError(
        'Cannot attach to a SharedMemory without its name: give { name }, or { create: true }',
      );
    const [at, [buffer, inode]] = create
      ? made(given, checkSize(size))
      : ([given as string, attached(given as string)] as const);
    if (create) this.#maker = process.pid;
    this.#name = at;
    this.#buffer = buffer;
    this.#inode = inode;
    this.#size = buffer.byteLength;
    known.set(inode, new WeakRef(this));
    collected.register(this, inode);
  }

  /** What others attach to it by: without a slash, as Python has it. */
  get name(): string {
    return this.#name;
  }

  /** Bytes. */
  get size(): number {
    return this.#size;
  }

  /**
   * The bytes themselves, always the same ArrayBuffer: make typed arrays over it, or Buffers by `Buffer.from(shm.buf)`. It does not
   * cross, it is copied: pass the SharedMemory.
   * @throws {ClosedError} close() was called.
   */
  get buf(): ArrayBuffer {
    if (this.#buffer) return this.#buffer;
    throw new ClosedError(
      `Cannot use SharedMemory "${this.#name}" as it was closed here: keep it for as long as it is used, or attach to it again`,
    );
  }

  /**
   * Lets go of the memory here; the block stays. `buf` is detached, and with it all that was made of it: typed arrays have length 0.
   * Have file system calls, compression and the like that work on it in the background end first. A second call does nothing. Of an
   * object that nobody has any more the memory is let go in the same way.
   */
  close(): void {
    const buffer = this.#buffer;
    if (buffer === undefined) return;
    native.segmentClose(buffer);
    this.#buffer = undefined;
    if (known.get(this.#inode)?.deref() === this) known.delete(this.#inode);
  }

  /**
   * Removes the name: nobody can attach any more. Who has the block keeps it until it is closed there. Anyone may call it, at any
   * time, also after close().
   *
   * Python: the same; and there a name that was removed and given to another block is removed again.
   * @throws {NameNotFoundError} Somebody has called it already, or the name means another block by now.
   */
  unlink(): void {
    try {
      native.segmentRemove(this.#name, this.#inode);
    } catch (error) {
      throw refusal(error, this.#name, 'remove');
    }
    this.#maker = 0;
  }

  /** In the process that has made it, by the object that has: unlink(), unless somebody has. Then, and elsewhere: close(). */
  [Symbol.dispose](): void {
    try {
      if (this.#maker === process.pid) this.unlink();
    } catch (error) {
      if (!(error instanceof NameNotFoundError)) throw error;
    } finally {
      this.#maker = 0;
      this.close();
    }
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized, print: typeof inspect): string {
    if (this.#buffer === undefined)
      return `SharedMemory "${this.#name}" ${options.stylize('<closed>', 'special')}`;
    return depth < 0
      ? options.stylize('[SharedMemory]', 'special')
      : `SharedMemory "${this.#name}" ${print({ size: this.#size }, options)}`;
  }

  /** @internal */
  static out(shm: SharedMemory): Crossed {
    return [shm.#name, shm.#inode];
  }

  /** @internal @throws {NameNotFoundError} It was removed on the way. */
  static back([name, inode]: Crossed): SharedMemory {
    const here = known.get(inode)?.deref();
    if (here !== undefined && here.#buffer !== undefined && here.#name === name) return here;
    const shm = new SharedMemory({ name });
    if (shm.#inode === inode) return shm;
    shm.close();
    throw notFound(name, 'attach to');
  }
}

type Crossed = readonly [name: string, inode: number];

function made(name: string | undefined, size: number): readonly [string, [ArrayBuffer, number]] {
  self(); // so that the janitor sees that the family lives
  if (size >= LARGE && size > memoryAvailable()) throw noRoom(size);
  for (;;) {
    // As CPython's are.
    const at = name ?? `psm_${(native.randomBits() % 2 ** 32).toString(16).padStart(8, '0')}`;
    try {
      return [at, native.segmentCreate(at, size)];
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST' && name === undefined) continue;
      if (code === 'ENOSPC' || code === 'ENOMEM' || code === 'EFBIG') throw noRoom(size, error);
      throw refusal(error, at, 'make');
    }
  }
}

function attached(name: string): [ArrayBuffer, number] {
  for (let looks = 0; ; looks++) {
    try {
      return native.segmentOpen(name, constants.MAX_LENGTH);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== 'ENODATA') throw refusal(error, name, 'attach to');
      if (looks === LOOKS) throw notFound(name, 'attach to', 'it has no bytes yet', error);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BETWEEN_LOOKS);
    }
  }
}

function checkName(name: unknown): string {
  if (typeof name !== 'string')
    throw new TypeError(`The name must be a string, not ${name === null ? 'null' : `a ${typeof name}`}`);
  const bare = name.replace(/^\/+/, '');
  if (
    bare === '' ||
    bare === '.' ||
    bare === '..' ||
    /[/\0]/.test(bare) ||
    Buffer.byteLength(bare) > LONGEST_NAME
  )
    throw new RangeError(
      `The name of a SharedMemory must be that of a file, 1 to ${LONGEST_NAME} bytes without "/", not ${JSON.stringify(name)}`,
    );
  return bare;
}

function checkSize(size: unknown): number {
  if (typeof size !== 'number')
    throw new TypeError(
      `The size of a new SharedMemory must be a number of bytes, not ${size === undefined ? 'missing' : `a ${typeof size}`}`,
    );
  if (Number.isInteger(size) && size >= 1 && size <= constants.MAX_LENGTH) return size;
  throw new RangeError(
    `The size of a SharedMemory must be an integer from 1 to ${constants.MAX_LENGTH} bytes, not ${size}`,
  );
}

function noRoom(size: number, cause?: unknown): OutOfMemoryError {
  return new OutOfMemoryError(
    `Cannot make a SharedMemory of ${size} bytes as there is no room for it: remove what is not needed from /dev/shm, or give that more (docker run --shm-size)`,
    { cause },
  );
}

function notFound(
  name: string,
  act: string,
  why = 'there is none of that name',
  cause?: unknown,
): NameNotFoundError {
  return new NameNotFoundError(
    `Cannot ${act} SharedMemory "${name}" as ${why}: make it first, by { create: true }, and remove it last`,
    { cause },
  );
}

/** What a system call refused, in our words. */
function refusal(error: unknown, name: string, act: string): unknown {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
      return notFound(name, act, undefined, error);
    case 'EEXIST':
      return new NameInUseError(
        `Cannot make SharedMemory "${name}" as there is one of that name: attach to it, without "create", or choose another name`,
        { cause: error },
      );
    case 'EACCES':
    case 'EPERM':
      return new NameInUseError(
        `Cannot ${act} SharedMemory "${name}" as it is another user's: choose another name`,
        { cause: error },
      );
    case 'EINVAL':
    case 'ELOOP':
    case 'EISDIR':
    case 'ENXIO':
      return new NameInUseError(
        `Cannot ${act} SharedMemory "${name}" as that is no block of memory in /dev/shm: choose another name`,
        { cause: error },
      );
    case 'EFBIG':
      return new RangeError(
        `Cannot attach to SharedMemory "${name}" as it has more than ${constants.MAX_LENGTH} bytes, which is what an ArrayBuffer holds: make it smaller`,
        { cause: error },
      );
    default:
      return error;
  }
}

registerHandle<SharedMemory, Crossed>(
  'SharedMemory',
  SharedMemory,
  SharedMemory.out,
  SharedMemory.back,
  () => true,
);
