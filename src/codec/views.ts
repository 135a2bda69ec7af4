import { Failure } from './path.js';
import type { Reader } from './reader.js';
import { LONGEST_VARINT, Writer } from './writer.js';

type ViewConstructor = new (buffer: ArrayBuffer, offset: number, length: number) => ArrayBufferView;

/** In the order of their numbers in the format; a Buffer is made by Buffer.from. Float16Array: not every Node has it. */
const TYPES: readonly (readonly [name: string, bytes: number])[] = [
  ['Int8Array', 1],
  ['Uint8Array', 1],
  ['Uint8ClampedArray', 1],
  ['Int16Array', 2],
  ['Uint16Array', 2],
  ['Int32Array', 4],
  ['Uint32Array', 4],
  ['Float32Array', 4],
  ['Float64Array', 8],
  ['BigInt64Array', 8],
  ['BigUint64Array', 8],
  ['DataView', 1],
  ['Buffer', 1],
  ['Float16Array', 2],
];

/** A built-in class of views. */
export interface ViewType {
  readonly number: number;
  readonly prototype: object;
  readonly elementSize: number;
  make(buffer: ArrayBuffer, offset: number, length: number): ArrayBufferView;
}

/** The classes of views that this Node has, by their numbers. */
export const VIEW_TYPES: readonly (ViewType | undefined)[] = TYPES.map(([name, elementSize], number) => {
  const type = (globalThis as Record<string, unknown>)[name] as ViewConstructor | undefined;
  if (type === undefined) return undefined;
  const make: ViewType['make'] =
    name === 'Buffer'
      ? (buffer, offset, length) => Buffer.from(buffer, offset, length)
      : (buffer, offset, length) => new type(buffer, offset, length);
  return { number, prototype: type.prototype, elementSize, make };
});

interface Entry {
  readonly buffer: ArrayBuffer;
  readonly from: number;
  readonly to: number;
  /** Elements of more than one byte must begin at a multiple of their size. */
  readonly aligned: boolean;
  run: number;
  offset: number;
}

interface Run {
  readonly zeros: number;
  readonly bytes: Uint8Array;
}

/** The ArrayBuffers and views of one message, on the writing side. See tags.ts for what they become. */
export class ViewTable {
  readonly #entries: Entry[] = [];
  #runs: readonly Run[] = [];

  add(item: ArrayBuffer | ArrayBufferView, elementSize: number): void {
    const view = ArrayBuffer.isView(item) ? item : undefined;
    const buffer = view ? view.buffer : (item as ArrayBuffer);
    if (
      !(buffer instanceof ArrayBuffer) &&
      Object.prototype.toString.call(buffer) !== '[object ArrayBuffer]'
    ) {
      throw new Failure(
        'its bytes are in a SharedArrayBuffer, which cannot leave the process',
        'copy the bytes first',
      );
    }
    const from = view ? view.byteOffset : 0;
    this.#entries.push({
      buffer: buffer as ArrayBuffer,
      from,
      to: from + item.byteLength,
      aligned: elementSize > 1,
      run: 0,
      offset: 0,
    });
  }

  /** How many bytes write() asks for. To be called once, when all have been added, before write(). */
  measure(): number {
    this.#runs = this.#merge();
    let length = Writer.lengthOf(this.#runs.length);
    for (const { bytes } of this.#runs) length += 1 + Writer.lengthOf(bytes.length) + bytes.length;
    for (const { run, offset } of this.#entries) length += Writer.lengthOf(run) + Writer.lengthOf(offset);
    return length + LONGEST_VARINT; // for the last of them there must be as much room as for any
  }

  write(writer: Writer): void {
    const runs = this.#runs;
    writer.varint(runs.length);
    for (const { zeros, bytes } of runs) {
      writer.varint(zeros);
      writer.varint(bytes.length);
      writer.raw(bytes);
    }
    for (const { run, offset } of this.#entries) {
      writer.varint(run);
      writer.varint(offset);
    }
  }

  /** Joins entries that touch or overlap, and places each in its run. */
  #merge(): Run[] {
    const byBuffer = new Map<ArrayBuffer, Entry[]>();
    for (const entry of this.#entries) {
      const others = byBuffer.get(entry.buffer);
      if (others) others.push(entry);
      else byBuffer.set(entry.buffer, [entry]);
    }
    const runs: Run[] = [];
    for (const [buffer, entries] of byBuffer) {
      entries.sort((a, b) => a.from - b.from);
      for (let first = 0; first < entries.length; ) {
        const { from } = entries[first];
        let { to, aligned } = entries[first];
        let next = first + 1;
        for (; next < entries.length && entries[next].from <= to; next++) {
          to = Math.max(to, entries[next].to);
          aligned ||= entries[next].aligned;
        }
        const zeros = aligned ? from % 8 : 0;
        for (const entry of entries.slice(first, next)) {
          entry.run = runs.length;
          entry.offset = entry.from - from + zeros;
        }
        runs.push({ zeros, bytes: new Uint8Array(buffer, from, to - from) });
        first = next;
      }
    }
    return runs;
  }
}

/** From here on it costs more to clear memory than to ask for such that is not. */
const MANY = 4096;

/** Memory of its own, which may hold old bytes: all of it is written to at once. */
function bytesToFill(length: number): Uint8Array {
  return length < MANY ? new Uint8Array(length) : Buffer.allocUnsafeSlow(length);
}

/** The ArrayBuffers of one message, on the reading side. */
export class BufferTable {
  readonly #runs: ArrayBuffer[] = [];
  readonly #places: Reader;

  /** Reads the runs; `reader` stands at the first place afterwards, and is kept to read those as views are met. */
  constructor(reader: Reader) {
    for (let left = reader.count(2); left > 0; left--) {
      const zeros = reader.varint();
      if (zeros > 7) reader.corrupt('a buffer begins with too many zeros');
      const length = reader.count();
      const at = reader.skip(length);
      const run = bytesToFill(zeros + length);
      run.set(reader.bytes.subarray(at, at + length), zeros);
      if (zeros > 0) run.fill(0, 0, zeros);
      this.#runs.push(run.buffer as ArrayBuffer);
    }
    this.#places = reader;
  }

  /** Whether every place was asked for, so that nothing is left of the message. */
  get isRead(): boolean {
    return this.#places.pos === this.#places.end;
  }

  /** Where the next view of the message lies. */
  next(): { buffer: ArrayBuffer; offset: number } {
    const buffer = this.#runs[this.#places.varint()];
    if (buffer === undefined) this.#places.corrupt('a buffer is missing');
    return { buffer, offset: this.#places.varint() };
  }
}
