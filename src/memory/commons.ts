import { totalmem } from 'node:os';
import { OutOfMemoryError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { LOW_BYTES } from './layout.js';

/**
 * The commons of this process's family, as this thread sees it. Empty until attach(). Index these directly: a word is
 * a 32-bit integer at `words[offset / 4]`.
 */
export let words = new Int32Array(0);
/** The same memory as bytes: the first 1 GiB. For what lies higher see view(). */
export let bytes = new Uint8Array(0);

const GIB = 2 ** 30;
/** Address space, not memory: room for four times what the machine has leaves fragmentation no chance. */
const LARGEST = 256 * GIB;
const SMALLEST = 2 * GIB;

/** Makes the commons, or joins the one that this process was given. Cheap to call again. */
export function attach(): void {
  if (words.length > 0) return;
  if (native.arenaFd() < 0) create();
  const low = native.arenaView(0, LOW_BYTES);
  words = new Int32Array(low);
  bytes = new Uint8Array(low);
}

/** Joins the commons behind descriptor `fd`, which a process of the family passed on. */
export function join(fd: number, size: number): void {
  native.setCloexec(fd);
  native.arenaMap(fd, size);
  attach();
}

function create(): void {
  let size = Math.max(64 * GIB, 2 ** Math.ceil(Math.log2(4 * totalmem())));
  for (size = Math.min(size, LARGEST); ; size /= 2) {
    let fd = -1;
    try {
      fd = native.arenaCreate(size);
      if (native.arenaMap(fd, size) === 1) native.close(fd); // another thread was first
      return;
    } catch (cause) {
      if (fd >= 0) native.close(fd);
      if (size <= SMALLEST)
        throw new OutOfMemoryError(
          'Cannot reserve address space for shared memory: raise the limits of this process (ulimit -v, ulimit -f)',
          { cause },
        );
    }
  }
}

/**
 * Views of the high zone, made when first needed and kept: view k spans 2 GiB from k GiB on, so that any block of
 * up to 1 GiB lies within one of them.
 */
const windows: Uint8Array[] = [];

/** The bytes of a block. `offset` and `length` are bytes; the caller knows that they are its own. */
export function view(offset: number, length: number): Uint8Array {
  const end = offset + length;
  if (end <= LOW_BYTES) return bytes.subarray(offset, end);
  if (length > GIB) return new Uint8Array(native.arenaView(offset, length));
  const k = Math.floor(offset / GIB);
  windows[k] ??= new Uint8Array(native.arenaView(k * GIB, Math.min(2 * GIB, native.arenaBytes() - k * GIB)));
  return windows[k].subarray(offset - k * GIB, end - k * GIB);
}

/** How many bytes of the commons this thread sees by views that it keeps. V8 counts them as memory of the thread's own. */
export function bytesInView(): number {
  return windows.reduce((sum, window) => sum + window.byteLength, bytes.byteLength);
}

/**
 * What view() gives, for a block that one keeps to for long. V8 counts a window as 2 GiB that are in use, and collects garbage at once when
 * the first is made; such a view counts as what it is.
 */
export function viewAlone(offset: number, length: number): Uint8Array {
  return new Uint8Array(native.arenaView(offset, length));
}
