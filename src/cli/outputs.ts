import { close, fstatSync, write } from 'node:fs';
import { Socket } from 'node:net';
import type { Writable } from 'node:stream';
import { promisify } from 'node:util';
import { openFile } from './open-file.js';

const writeAsync = promisify(write);
const closeAsync = promisify(close);

/** Where lines go. One write at a time: a write resolves when the bytes are the kernel's, so waiting is back-pressure. */
export interface Output {
  readonly isTerminal: boolean;
  write(bytes: Uint8Array): Promise<void>;
  close(): Promise<void>;
}

/** A regular file, or a device: written through a thread of libuv's pool, which never has to wait long for these. */
export class FileOutput implements Output {
  readonly isTerminal = false;
  readonly fd: number;
  #position: number | null;

  /** Writes from `position` on; absent: wherever the descriptor stands. */
  constructor(fd: number, position?: number) {
    this.fd = fd;
    this.#position = position ?? null;
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const { bytesWritten } = await writeAsync(this.fd, bytes, at, bytes.length - at, this.#position);
      at += bytesWritten;
      if (this.#position !== null) this.#position += bytesWritten;
    }
  }

  async close(): Promise<void> {
    if (this.fd > 2) await closeAsync(this.fd);
  }
}

/** A pipe, socket or terminal: written without blocking a thread, as its reader may never come back. */
export class StreamOutput implements Output {
  readonly isTerminal: boolean;
  readonly #stream: Writable;
  #beforeWrite: () => void = () => undefined;

  constructor(stream: Writable) {
    this.#stream = stream;
    this.isTerminal = 'isTTY' in stream && stream.isTTY === true;
    stream.on('error', () => undefined); // write() reports it
  }

  /** Called before each write: to take away what stands on the terminal's last line. */
  set beforeWrite(callback: () => void) {
    this.#beforeWrite = callback;
  }

  write(bytes: Uint8Array): Promise<void> {
    this.#beforeWrite();
    return new Promise((resolve, reject) => {
      this.#stream.write(bytes, error => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    if (this.#stream !== process.stdout && this.#stream !== process.stderr) {
      await new Promise<void>(resolve => this.#stream.end(() => resolve()));
    }
  }
}

/** stdout or stderr. */
export function standardOutput(fd: 1 | 2): Output {
  try {
    if (fstatSync(fd).isFile()) return new FileOutput(fd);
  } catch {
    // Closed by whoever started us: Node has put /dev/null in its place, or the stream reports it.
  }
  return new StreamOutput(fd === 1 ? process.stdout : process.stderr);
}

/**
 * Opens `file` for writing, from its beginning, what was in it lost.
 * @throws {UsageError} It cannot be written.
 */
export async function openOutput(file: string): Promise<Output> {
  const fd = await openFile(file, 'w', 'write');
  return fstatSync(fd).isFIFO()
    ? new StreamOutput(new Socket({ fd, readable: false, writable: true }))
    : new FileOutput(fd);
}
