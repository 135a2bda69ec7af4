/*
 * Bytes on their way out that the kernel has not taken yet. Short ones lie one after the other in chunks, which a thread's
 * sockets share, so that many frames go in one system call; long ones stay where they are.
 */
const CHUNK_BYTES = 64 * 1024;
/** Chunks that are kept when nothing is in them. */
const SPARE = 16;

const spare: Uint8Array[] = [];

interface Piece {
  readonly bytes: Uint8Array;
  from: number;
  to: number;
  /** Has it room for more? */
  readonly isChunk: boolean;
}

export class Outbox {
  readonly #pieces: Piece[] = [];
  #length = 0;

  /** Bytes that are in it. */
  get length(): number {
    return this.#length;
  }

  /** The first that is to go: of its bytes those in [from, to). */
  get first(): Readonly<Piece> {
    return this.#pieces[0];
  }

  /** So many bytes of the first have gone. */
  advance(count: number): void {
    const piece = this.#pieces[0];
    piece.from += count;
    this.#length -= count;
    if (piece.from < piece.to) return;
    this.#pieces.shift();
    if (piece.isChunk && spare.length < SPARE) spare.push(piece.bytes);
  }

  /** Copies the bytes, which are few, to the end. */
  copy(bytes: Uint8Array, from: number, to: number): void {
    let at = from;
    while (at < to) {
      const chunk = this.#room();
      const count = Math.min(to - at, CHUNK_BYTES - chunk.to);
      if (count === bytes.length) chunk.bytes.set(bytes, chunk.to);
      else chunk.bytes.set(bytes.subarray(at, at + count), chunk.to);
      chunk.to += count;
      at += count;
    }
    this.#length += to - from;
  }

  /** Appends bytes that nobody changes until they have gone. */
  append(bytes: Uint8Array, from: number): void {
    this.#pieces.push({ bytes, from, to: bytes.length, isChunk: false });
    this.#length += bytes.length - from;
  }

  clear(): void {
    this.#pieces.length = 0;
    this.#length = 0;
  }

  #room(): Piece {
    const last = this.#pieces.at(-1);
    if (last?.isChunk && last.to < CHUNK_BYTES) return last;
    const chunk = { bytes: spare.pop() ?? new Uint8Array(CHUNK_BYTES), from: 0, to: 0, isChunk: true };
    this.#pieces.push(chunk);
    return chunk;
  }
}
