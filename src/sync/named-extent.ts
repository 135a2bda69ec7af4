import { ClosedError, OutOfMemoryError } from '../errors/errors.js';
import { format } from '../memory/limit.js';
import { native } from '../native/native.js';
import type { Extent } from './home.js';

/** Where memory behind the words may start, and be mapped from: the largest page that kernels have on the processors served. */
export const GRANULE = 65_536;

/** The memory behind the words of a name, as one thread reaches it. */
export class NamedExtent implements Extent {
  readonly bytes: number;
  readonly #whose: string;
  readonly #start: number;
  #fd: number;

  constructor(whose: string, fd: number, start: number, bytes: number) {
    this.#whose = whose;
    this.#fd = fd;
    this.#start = start;
    this.bytes = bytes;
  }

  map(offset: number, bytes: number): ArrayBuffer {
    const fd = this.#open();
    const [size, from] = [this.#start + this.bytes, this.#start + offset];
    return within(this.#whose, bytes, () => native.memoryMap(fd, size, from, bytes));
  }

  punch(offset: number, bytes: number): void {
    native.memoryPunch(this.#open(), this.#start + offset, bytes);
  }

  #open(): number {
    if (this.#fd < 0)
      throw new ClosedError(
        `Cannot use the ${this.#whose} as this thread has closed it: keep it open for as long as you use it`,
      );
    return this.#fd;
  }

  /** The descriptor is about to be closed. What is mapped stays. */
  close(): void {
    this.#fd = -1;
  }
}

/** Runs `act`, which asks for so many bytes of address space, or for a file of that size. @throws {OutOfMemoryError} */
export function within<T>(whose: string, bytes: number, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== 'ENOMEM' && code !== 'EFBIG') throw cause;
    throw new OutOfMemoryError(
      `Cannot reserve ${format(bytes)} of address space for the ${whose}: raise the limits of this process (ulimit -v, ulimit -f)`,
      { cause },
    );
  }
}
