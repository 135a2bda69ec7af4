import { type InspectOptionsStylized, inspect } from 'node:util';
import { registerHandle } from '../codec/handles.js';
import { SharedMemory } from './shared-memory.js';

/*
 * CPython's layout, all of it little-endian:
 *
 *   8 bytes          number of items, N
 *   (N + 1) × 8      where each item begins in the data, and where the data end
 *   data             numbers in 8 bytes; strings and bytes, padded with NULs to the next multiple of 8, one NUL at least
 *   N × 8            the format of each item, as Python's `struct` knows it
 *   N                what each is made into after that: 1 a string, 2 bytes, 3 None, 0 what the format says
 *
 * CPython cannot tell NULs at the end of an item from padding. So what it has no place for follows, where it does not look. It may
 * write to an item without knowing of this, so a note holds only for the bytes that it was made for:
 *
 *   padding to 8
 *   8 bytes          NOTES
 *   N × 8            a note on each item: 4 bytes, 4 bytes of a hash of the item
 */
const NOTES = 0x3174_7369_6c68_6dn;
/** Of a note on bytes: they were given as Uint8Array, not as Buffer. Holds whatever becomes of them. */
const PLAIN = 2 ** 31;
/** The rest: of a string or bytes, how many NULs at the end are its own; of an integer, 1: it is a BigInt. */
const REST = 2 ** 31 - 1;

const INTEGER = 'q';
const FLOAT = 'd';
const BOOLEAN = 'xxxxxxx?';
const NONE = 'xxxxxx?x';
const MADE = { BY_FORMAT: 0, STRING: 1, BYTES: 2, NONE: 3 } as const;

const ALIGNMENT = 8;
/** The format has room for seven digits. */
const LONGEST = 9_999_992;

/** An item as it lies in memory. */
interface Packed {
  /** Undefined: that of strings and bytes. */
  readonly format: string | undefined;
  readonly made: number;
  readonly bytes: Uint8Array;
  readonly note: number;
}

/** Of this thread, so that `===` holds for what comes back to it. */
const lists = new WeakMap<SharedMemory, ShareableList>();

/**
 * A list of fixed length in one SharedMemory, the same one that CPython's `multiprocessing.shared_memory.ShareableList` opens: of
 * numbers, BigInts, strings, booleans, `Uint8Array`s and null.
 *
 * Numbers that are integers (up to 2⁵³) are Python's `int`, as BigInts are; other numbers are `float`. Each item has a place of fixed
 * size: 8 bytes, or what the string or bytes that were there first took in UTF-8, to the next multiple of 8. What is set later may be of any
 * kind that fits. An `int` of Python's is read as a number, beyond 2⁵³ as a BigInt.
 *
 * NULs at the end of strings and bytes are kept in lists that are made here, and so are BigInts as such; Python reads these lists, too, but
 * sees neither. Of lists that Python has made nobody can tell such NULs from padding, and they are cut.
 *
 * Nothing here is locked: to set an item takes several steps, and who reads it meanwhile may see a mixture. Use a Lock, by name
 * if need be. The memory is that of `shm`: close it, and unlink it, when it has served.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { ShareableList } from 'manyhands';
 *
 * const list = new ShareableList<any>(['temperature', 21.5, true, null]);
 * const same = new ShareableList(undefined, { name: list.shm.name }); // as any other program would find it
 * same.set(1, 22);
 * assert.deepEqual([...list], ['temperature', 22, true, null]);
 * same.shm.close();
 * list.shm[Symbol.dispose](); // removes it
 * ```
 */
export class ShareableList<T = any> implements Iterable<T> {
  /** Where it lies. Its name is what others attach by. */
  readonly shm: SharedMemory;
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #length: number;
  /** Where items begin, and where the last one ends, in the whole. */
  readonly #at: Float64Array;
  readonly #formats: number;
  readonly #made: number;
  /** 0: there are none. */
  readonly #notes: number;

  /**
   * A list of these items, in a new SharedMemory, of that name if one is given. Without items: attaches to the list of
   * that name; if there is no name either, a new one of no items.
   * @throws {TypeError} An item is of another kind, or what has that name is no such list.
   * @throws {RangeError} An item is too long (10 MB), or a BigInt that does not fit into 64 bits.
   * @throws {NameInUseError | NameNotFoundError | OutOfMemoryError} As `new SharedMemory()`.
   */
  constructor(items?: Iterable<T>, options?: { name?: string });
  constructor(items?: Iterable<T> | SharedMemory, options: { name?: string } = {}) {
    if (typeof options !== 'object' || options === null)
      throw new TypeError('Cannot make a ShareableList of these options: give an object, as { name }');
    const { name } = options;
    if (items instanceof SharedMemory) this.shm = items;
    else if (items === undefined && name !== undefined) this.shm = new SharedMemory({ name });
    else this.shm = make(items === undefined ? [] : [...items], name);
    const view = new DataView(this.shm.buf);
    const layout = layoutOf(view);
    if (layout === undefined) {
      const at = this.shm.name;
      if (!(items instanceof SharedMemory)) this.shm.close();
      throw new TypeError(
        `Cannot attach to "${at}" as it is no ShareableList: use SharedMemory, or the name of a list`,
      );
    }
    this.#view = view;
    this.#bytes = Buffer.from(this.shm.buf);
    this.#at = layout.at;
    this.#length = layout.at.length - 1;
    this.#formats = layout.at[this.#length];
    this.#made = this.#formats + 8 * this.#length;
    this.#notes = layout.notes;
    lists.set(this.shm, this);
  }

  /** How many items it has: always as many. */
  get length(): number {
    return this.#length;
  }

  /**
   * Item `i`, counted from the end if negative.
   * @throws {RangeError} There is no such item.
   * @throws {ClosedError} `shm` is closed.
   */
  at(i: number): T {
    return this.#read(this.#index(i)) as T;
  }

  /**
   * Sets item `i`, counted from the end if negative.
   * @throws {TypeError} It is of another kind than what the list can hold.
   * @throws {RangeError} There is no such item; or the string or bytes do not fit into its place, or the BigInt not into 64 bits: it
   * stays what it was.
   * @throws {ClosedError} `shm` is closed.
   */
  set(i: number, value: T): void {
    const index = this.#index(i);
    const packed = pack(value);
    const room = this.#at[index + 1] - this.#at[index];
    if (packed.bytes.length > room)
      throw new RangeError(
        `Cannot store ${packed.bytes.length} bytes as item ${i} as its place has ${room}: cut it, or make the list with something longer there`,
      );
    this.#write(index, packed);
  }

  /**
   * Where the first item is that equals `value`; -1: nowhere. Equal is what is `===`; besides, `NaN` and `NaN`, and bytes that are the same.
   *
   * Python: `index()`, which throws if there is none, and takes `True` for 1.
   * @throws {ClosedError} `shm` is closed.
   */
  indexOf(value: T): number {
    this.#check();
    for (let i = 0; i < this.#length; i++) if (isSame(this.#read(i), value)) return i;
    return -1;
  }

  /** How many items equal `value`, as indexOf() compares. @throws {ClosedError} `shm` is closed. */
  count(value: T): number {
    this.#check();
    let count = 0;
    for (let i = 0; i < this.#length; i++) if (isSame(this.#read(i), value)) count++;
    return count;
  }

  /** The items in order, each as it is when its turn comes. @throws {ClosedError} `shm` is closed. */
  *[Symbol.iterator](): Generator<T, undefined, undefined> {
    for (let i = 0; i < this.#length; i++) yield this.at(i);
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized, print: typeof inspect): string {
    if (this.#view.buffer.byteLength === 0) return `ShareableList ${options.stylize('<closed>', 'special')}`;
    return depth < 0
      ? options.stylize('[ShareableList]', 'special')
      : `ShareableList "${this.shm.name}" ${print([...this], options)}`;
  }

  /** @internal */
  static over(shm: SharedMemory): ShareableList {
    return lists.get(shm) ?? new ShareableList(shm as never);
  }

  #check(): void {
    this.shm.buf;
  }

  #index(i: number): number {
    this.#check();
    const index = i < 0 ? i + this.#length : i;
    if (index >= 0 && index < this.#length && Number.isInteger(index)) return index;
    if (typeof i !== 'number') throw new TypeError(`The index must be a number, not a ${typeof i}`);
    const there =
      this.#length === 0 ? 'it is empty' : `there are 0 to ${this.#length - 1}, and -1 is the last`;
    throw new RangeError(`Cannot reach item ${i} of a ShareableList of ${this.#length}: ${there}`);
  }

  #format(index: number): string {
    const at = this.#formats + 8 * index;
    return this.#bytes.toString('latin1', at, at + 8).replace(/\0+$/, '');
  }

  #read(index: number): unknown {
    const at = this.#at[index];
    const format = this.#format(index);
    switch (format) {
      case INTEGER:
        return this.#readInteger(index);
      case FLOAT:
        return this.#view.getFloat64(at, true);
      case BOOLEAN:
        return this.#bytes[at + 7] !== 0;
      case NONE:
        return null;
    }
    const length = /^\d+s$/.test(format) ? Number.parseInt(format, 10) : Number.POSITIVE_INFINITY;
    if (at + length > this.#at[index + 1])
      throw new TypeError(
        `Cannot read item ${index} of a ShareableList as its format "${format}" is none of those that CPython writes: something has overwritten it`,
      );
    const bytes = this.#bytes.subarray(at, at + length);
    let end = bytes.length;
    while (end > 0 && bytes[end - 1] === 0) end--;
    const nulls = this.#note(index, () => bytes.subarray(0, end));
    if (nulls <= length - end) end += nulls;
    if (this.#view.getInt8(this.#made + index) === MADE.STRING) return bytes.toString('utf8', 0, end);
    const copy = Buffer.from(bytes.subarray(0, end));
    return this.#notes > 0 && this.#view.getUint32(this.#notes + 8 * index, true) >= PLAIN
      ? new Uint8Array(copy)
      : copy;
  }

  #readInteger(index: number): number | bigint {
    const at = this.#at[index];
    const big = this.#view.getBigInt64(at, true);
    const isBig = this.#note(index, () => this.#bytes.subarray(at, at + 8)) === 1;
    const small = Number(big);
    return isBig || !Number.isSafeInteger(small) ? big : small;
  }

  /** What is noted on an item, if it still is what it was noted on; else 0. */
  #note(index: number, content: () => Uint8Array): number {
    if (this.#notes === 0) return 0;
    const at = this.#notes + 8 * index;
    const note = this.#view.getUint32(at, true) & REST;
    return note !== 0 && this.#view.getUint32(at + 4, true) === hash(content()) ? note : 0;
  }

  #write(index: number, packed: Packed): void {
    const at = this.#at[index];
    const room = this.#at[index + 1] - at;
    const format = packed.format ?? `${room}s`;
    this.#bytes.write(format.padEnd(8, '\0'), this.#formats + 8 * index, 8, 'latin1');
    this.#view.setInt8(this.#made + index, packed.made);
    this.#bytes.set(packed.bytes, at);
    if (packed.format === undefined) this.#bytes.fill(0, at + packed.bytes.length, at + room);
    if (this.#notes > 0) note(this.#view, this.#notes + 8 * index, packed);
  }
}

/** Where everything is; undefined: it is no list. */
function layoutOf(view: DataView): { at: Float64Array; notes: number } | undefined {
  const size = view.byteLength;
  const length = size < 16 ? -1 : Number(view.getBigInt64(0, true));
  const data = 8 * (length + 2);
  if (length < 0 || data + 9 * length > size) return undefined;
  const at = new Float64Array(length + 1);
  for (let i = 0; i <= length; i++) {
    at[i] = data + Number(view.getBigInt64(8 * (i + 1), true));
    // Each has the 8 bytes of a number.
    if (i === 0 ? at[0] !== data : !(at[i] >= at[i - 1] + 8)) return undefined;
  }
  const end = at[length] + 9 * length;
  if (end > size) return undefined;
  const mark = aligned(end);
  const hasNotes = mark + 8 * (length + 1) <= size && view.getBigInt64(mark, true) === NOTES;
  return { at, notes: hasNotes ? mark + 8 : 0 };
}

function make(items: readonly unknown[], name: string | undefined): SharedMemory {
  const packed = items.map(pack);
  const data = 8 * (packed.length + 2);
  const ends: number[] = [];
  let end = data;
  for (const { format, bytes } of packed) {
    // One NUL at least, as CPython has it.
    end += format === undefined ? aligned(bytes.length + 1) : ALIGNMENT;
    ends.push(end);
  }
  const notes = aligned(end + 9 * packed.length);
  const shm = new SharedMemory({ name, create: true, size: notes + 8 * (packed.length + 1) });
  const view = new DataView(shm.buf);
  const bytes = Buffer.from(shm.buf);
  for (const [i, item] of packed.entries()) {
    const at = i === 0 ? data : ends[i - 1];
    view.setBigInt64(8 * (i + 2), BigInt(ends[i] - data), true);
    bytes.set(item.bytes, at);
    bytes.write(item.format ?? `${ends[i] - at}s`, end + 8 * i, 8, 'latin1');
    view.setInt8(end + 8 * packed.length + i, item.made);
    note(view, notes + 8 * (i + 1), item);
  }
  view.setBigInt64(notes, NOTES, true);
  view.setBigInt64(0, BigInt(packed.length), true);
  return shm;
}

function note(view: DataView, at: number, { bytes, format, note }: Packed): void {
  const rest = note & REST;
  view.setUint32(at, note, true);
  view.setUint32(
    at + 4,
    rest === 0 ? 0 : hash(format ? bytes : bytes.subarray(0, bytes.length - rest)),
    true,
  );
}

/** @throws {TypeError | RangeError} It is nothing that a list can hold. */
function pack(value: unknown): Packed {
  switch (typeof value) {
    case 'number': {
      const bytes = Buffer.alloc(8);
      const isInteger = Number.isSafeInteger(value) && !Object.is(value, -0);
      if (isInteger) bytes.writeBigInt64LE(BigInt(value));
      else bytes.writeDoubleLE(value);
      return { format: isInteger ? INTEGER : FLOAT, made: MADE.BY_FORMAT, bytes, note: 0 };
    }
    case 'bigint': {
      if (BigInt.asIntN(64, value) !== value)
        throw new RangeError(`Cannot store ${value}n in a ShareableList as it has more than 64 bits`);
      const bytes = Buffer.alloc(8);
      bytes.writeBigInt64LE(value);
      return { format: INTEGER, made: MADE.BY_FORMAT, bytes, note: 1 };
    }
    case 'boolean':
      return {
        format: BOOLEAN,
        made: MADE.BY_FORMAT,
        bytes: Buffer.of(0, 0, 0, 0, 0, 0, 0, Number(value)),
        note: 0,
      };
    case 'string': {
      const bytes = Buffer.from(value);
      if (bytes.toString() !== value)
        throw new TypeError(
          'Cannot store a string with half a surrogate pair in a ShareableList: UTF-8 has none',
        );
      return packBytes(bytes, MADE.STRING, 0);
    }
  }
  if (value === null) return { format: NONE, made: MADE.NONE, bytes: Buffer.alloc(8), note: 0 };
  if (value instanceof Uint8Array) return packBytes(value, MADE.BYTES, Buffer.isBuffer(value) ? 0 : PLAIN);
  const kind =
    typeof value === 'object'
      ? 'an object'
      : typeof value === 'undefined'
        ? 'undefined'
        : `a ${typeof value}`;
  throw new TypeError(
    `Cannot store ${kind} in a ShareableList, which takes numbers, BigInts, strings, booleans, Uint8Arrays and null: use a SharedList`,
  );
}

function packBytes(bytes: Uint8Array, made: number, plain: number): Packed {
  if (bytes.length >= LONGEST)
    throw new RangeError(
      `Cannot store ${bytes.length} bytes in a ShareableList, whose items have less than ${LONGEST}: use a SharedMemory`,
    );
  let end = bytes.length;
  while (end > 0 && bytes[end - 1] === 0) end--;
  return { format: undefined, made, bytes, note: plain + (bytes.length - end) };
}

/** FNV-1a. */
function hash(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

function isSame(a: unknown, b: unknown): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

registerHandle<ShareableList, readonly [SharedMemory]>(
  'ShareableList',
  ShareableList,
  list => [list.shm],
  ([shm]) => ShareableList.over(shm),
  () => true,
);
