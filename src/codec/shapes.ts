import type { Reader } from './reader.js';
import type { Writer } from './writer.js';

/** Objects with more keys are dictionaries: their keys are data, seldom seen twice. */
const MOST_KEYS = 32;
/** So are those whose keys have more characters together. */
const MOST_CHARACTERS = 400;
/** Bytes of such a list, at most: each key has one of tag and one of length, each character one or two. */
const LONGEST_DEFINITION = 1 + MOST_KEYS * 3 + MOST_CHARACTERS * 2;
/** Slots of either table; a shape takes the place of another that had its slot. */
const SLOTS = 1024;
/** After so many objects, a function that makes objects of the shape is compiled. */
const WORTH_COMPILING = 16;

/** A list of keys, as the writing side knows it. */
export class Shape {
  readonly keys: readonly string[];
  /** The message that defined it last, and its number there. */
  message = 0;
  index = 0;
  readonly #hash: number;
  #definition: Uint8Array | undefined;
  #uses = 0;

  constructor(keys: readonly string[], hash: number) {
    this.keys = keys;
    this.#hash = hash;
  }

  /** Writes hash, length and definition. */
  define(writer: Writer): void {
    writer.room(4);
    writer.bytes[writer.pos++] = this.#hash;
    writer.bytes[writer.pos++] = this.#hash >> 8;
    const definition = this.#definition;
    if (definition) {
      const { length } = definition;
      writer.bytes[writer.pos++] = length;
      writer.bytes[writer.pos++] = length >> 8;
      writer.room(length);
      // Definitions are short: a loop is faster than a call of set().
      for (let i = 0; i < length; i++) writer.bytes[writer.pos++] = definition[i];
      return;
    }
    writer.pos += 2;
    const before = writer.length;
    writer.varint(this.keys.length);
    for (const key of this.keys) writer.string(key);
    const length = writer.length - before;
    // Writing may have moved the message to a larger buffer, so places are told from its start.
    const at = writer.start + before;
    writer.bytes[at - 2] = length;
    writer.bytes[at - 1] = length >> 8;
    if (this.#uses++ > 0) this.#definition = new Uint8Array(writer.bytes.subarray(at, at + length));
  }
}

const written = new Array<Shape | undefined>(SLOTS).fill(undefined);
/** The shape asked for last, by its number of keys: most often the next is the same. */
const recent = new Array<Shape | undefined>(MOST_KEYS + 1).fill(undefined);

/** The shape with these keys, or undefined where a dictionary is the better way. */
export function shapeOf(keys: readonly string[]): Shape | undefined {
  const count = keys.length;
  if (count > MOST_KEYS) return undefined;
  const last = recent[count];
  if (last !== undefined && sameKeys(last.keys, keys)) return last;
  const shape = findShape(keys, count);
  if (shape !== undefined) recent[count] = shape;
  return shape;
}

function findShape(keys: readonly string[], count: number): Shape | undefined {
  let hash = count;
  let characters = 0;
  for (let i = 0; i < count; i++) {
    const key = keys[i];
    const { length } = key;
    characters += length;
    hash = Math.imul(hash, 31) + length;
    if (length > 0) hash = (hash + (key.charCodeAt(0) << 4) + (key.charCodeAt(length - 1) << 8)) | 0;
  }
  hash = (hash ^ (hash >> 12)) & (SLOTS - 1);
  const known = written[hash];
  if (known && sameKeys(known.keys, keys)) return known;
  if (characters > MOST_CHARACTERS) return undefined;
  const shape = new Shape(keys, hash);
  written[hash] = shape;
  return shape;
}

function sameKeys(a: readonly string[], b: readonly string[]): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** A source of values: the decoder. */
interface Values {
  read(): unknown;
}
type Make = (values: Values) => object;

/** A list of keys, as the reading side knows it. */
export class Layout {
  readonly keys: readonly string[];
  readonly #definition: Uint8Array;
  /** Assigning these keys to a plain object makes own properties: none is a setter or read-only above it. */
  readonly #assignable: boolean;
  #uses = 0;
  #make: Make | undefined;

  constructor(keys: readonly string[], definition: Uint8Array) {
    this.keys = keys;
    this.#definition = definition;
    this.#assignable = keys.every(key => !(key in Object.prototype));
  }

  isDefinedBy(bytes: Uint8Array, at: number, length: number): boolean {
    const definition = this.#definition;
    if (definition.length !== length) return false;
    for (let i = 0; i < length; i++) if (definition[i] !== bytes[at + i]) return false;
    return true;
  }

  /** Reads the values and makes a plain object of them. */
  make(values: Values): object {
    if (this.#make) return this.#make(values);
    if (this.#assignable && ++this.#uses > WORTH_COMPILING) this.#make = compile(this.keys);
    return this.fill({}, values);
  }

  /** Reads the values into own properties of `target`, whatever it inherits. */
  fill<T extends object>(target: T, values: Values): T {
    const { keys } = this;
    const fields = target as Record<string, unknown>;
    if (this.#assignable && Object.getPrototypeOf(target) === Object.prototype) {
      for (let i = 0; i < keys.length; i++) fields[keys[i]] = values.read();
    } else {
      for (let i = 0; i < keys.length; i++) setOwn(target, keys[i], values.read());
    }
    return target;
  }
}

/** Makes an own property, whatever `target` inherits by that name. */
export function setOwn(target: object, key: string, value: unknown): void {
  if (key in target) {
    Object.defineProperty(target, key, { value, writable: true, enumerable: true, configurable: true });
  } else {
    (target as Record<string, unknown>)[key] = value;
  }
}

/**
 * An object literal makes its object at once, with the hidden class that user code gets for the same literal; adding
 * properties one by one costs five times as much. Undefined where the process may not compile strings.
 */
function compile(keys: readonly string[]): Make | undefined {
  const fields = keys.map(key => `${JSON.stringify(key)}: values.read()`);
  try {
    return new Function('values', `return { ${fields.join(', ')} };`) as Make;
  } catch {
    return undefined;
  }
}

const read = new Array<Layout | undefined>(SLOTS).fill(undefined);

/** Reads hash, length and definition. */
export function readLayout(reader: Reader): Layout {
  const hash = (reader.byte() | (reader.byte() << 8)) & (SLOTS - 1);
  const length = reader.byte() | (reader.byte() << 8);
  // It is kept, so that a larger one would hold memory for ever.
  if (length > LONGEST_DEFINITION) reader.corrupt('a list of keys is too long');
  const at = reader.skip(length);
  const known = read[hash];
  if (known?.isDefinedBy(reader.bytes, at, length)) return known;
  reader.pos = at;
  const keys: string[] = [];
  for (let left = reader.count(); left > 0; left--) keys.push(reader.string());
  if (reader.pos !== at + length) reader.corrupt('a list of keys has another length than it announces');
  if (keys.length > MOST_KEYS) reader.corrupt('a list of keys is too long');
  const layout = new Layout(keys, new Uint8Array(reader.bytes.subarray(at, at + length)));
  read[hash] = layout;
  return layout;
}
