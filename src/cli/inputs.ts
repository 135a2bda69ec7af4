import { closeSync, createReadStream, fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { openFile } from './open-file.js';
import { UsageError } from './usage-error.js';

/** How much of a regular file is read at a time. */
const READ_SIZE = 256 * 1024;

export interface InputsFrom {
  /** Inputs from the command line: these, and nothing is read. */
  readonly given?: readonly string[];
  /** A file to read; absent or `-`: stdin. */
  readonly file?: string | undefined;
  /** The byte that ends an input. Nothing else does: a carriage return belongs to its line. */
  readonly separator: 10 | 0;
}

/**
 * Reads inputs as blocks of bytes, as much at a time as there is, and no more than was asked for: what is not read
 * stays where it is, and a pipe's writer waits.
 */
export class Inputs {
  /** Bytes there are in all, when that can be told. */
  readonly totalBytes: number | undefined;
  readonly #stream: Readable;
  readonly #separator: number;
  readonly #close: () => void;
  /** The beginning of an input whose end has not come yet. */
  #partial: Buffer[] = [];
  #ended = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  private constructor(
    stream: Readable,
    separator: number,
    totalBytes: number | undefined,
    closeSource: () => void,
  ) {
    this.#stream = stream;
    this.#separator = separator;
    this.totalBytes = totalBytes;
    this.#close = closeSource;
    const wake = (): void => this.#wake?.();
    const end = (): void => {
      this.#ended = true;
      wake();
    };
    stream
      .on('readable', wake)
      .on('end', end)
      .on('close', end)
      .on('error', error => {
        this.#error = error;
        end();
      });
  }

  /** @throws {UsageError} The file cannot be read. */
  static async open(from: InputsFrom): Promise<Inputs> {
    const { given, separator } = from;
    if (given) {
      const bytes = Buffer.from(given.map(input => input + String.fromCharCode(separator)).join(''));
      return new Inputs(
        Readable.from([bytes], { objectMode: false }),
        separator,
        bytes.length,
        () => undefined,
      );
    }
    if (from.file === undefined || from.file === '-') return Inputs.#stdin(separator);
    const file = from.file;
    const fd = await openFile(file, 'r', 'read inputs from');
    const stat = fstatSync(fd);
    if (stat.isDirectory()) {
      closeSync(fd);
      throw new UsageError(`Cannot read inputs from ${file} as it is a directory`);
    }
    if (stat.isFile()) {
      const stream = createReadStream('', { fd, highWaterMark: READ_SIZE });
      return new Inputs(stream, separator, stat.size, () => stream.destroy());
    }
    if (stat.isFIFO()) {
      const stream = new Socket({ fd, readable: true, writable: false });
      return new Inputs(stream, separator, undefined, () => stream.destroy());
    }
    const stream = createReadStream('', { fd });
    return new Inputs(stream, separator, undefined, () => stream.destroy());
  }

  static #stdin(separator: number): Inputs {
    let size: number | undefined;
    try {
      const stat = fstatSync(0);
      if (stat.isDirectory()) throw new UsageError('Cannot read inputs from stdin as it is a directory');
      if (stat.isFile()) size = stat.size;
    } catch (error) {
      if (error instanceof UsageError) throw error;
      return new Inputs(Readable.from([]), separator, 0, () => undefined); // stdin was closed
    }
    if (size === undefined) {
      const { stdin } = process;
      return new Inputs(stdin, separator, undefined, () => stdin.destroy());
    }
    const stream = createReadStream('', { fd: 0, autoClose: false, highWaterMark: READ_SIZE });
    return new Inputs(stream, separator, size, () => stream.destroy());
  }

  /**
   * The inputs that have come since the last call, waiting for one if there is none: whole ones, each followed by
   * the separator (the last input of all may come without; it gets one). Null when there are no more, or after close().
   */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const came = this.#ended ? null : (this.#stream.read() as Buffer | null);
      if (came !== null) {
        const end = came.lastIndexOf(this.#separator);
        if (end === -1) {
          this.#partial.push(came);
          continue;
        }
        const whole = came.subarray(0, end + 1);
        const block = this.#partial.length > 0 ? Buffer.concat([...this.#partial, whole]) : whole;
        this.#partial = end + 1 < came.length ? [came.subarray(end + 1)] : [];
        return block;
      }
      if (this.#ended) return this.#last();
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  /** Stops reading: next() gives null from now on. */
  close(): void {
    this.#partial = [];
    this.#ended = true;
    this.#error = undefined;
    this.#close();
    this.#wake?.();
  }

  #last(): Buffer | null {
    if (this.#error) throw new UsageError(`Cannot read inputs: ${this.#error.message}`);
    if (this.#partial.length === 0) return null;
    const block = Buffer.concat([...this.#partial, Buffer.of(this.#separator)]);
    this.#partial = [];
    return block;
  }
}
