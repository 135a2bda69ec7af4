import { SerializationError } from '../errors/errors.js';
import { type Builtin, builtins, builtinTagged } from './builtins.js';
import type { CapturedName } from './functions/description.js';
import { loadedModule } from './functions/modules.js';
import { rebuildFunction } from './functions/rebuild.js';
import { shellOf } from './functions/shells.js';
import { handleNamed } from './handles.js';
import { intrinsicNamed } from './intrinsics.js';
import { knownClass, rememberClass } from './known-classes.js';
import { Reader } from './reader.js';
import { type Layout, readLayout, setOwn } from './shapes.js';
import { FLAG, MOST_PROTOTYPES, TAG } from './tags.js';
import { BufferTable } from './views.js';

type AnyFunction = (...args: never) => unknown;
type Read = (decoder: Decoder) => unknown;

const { shortString, smallArray, smallShape, int16, int32, float64, define } = TAG;
const FIRST_RARE = TAG.undefined;

/** Stands for an object that is being made: only damaged messages refer to it. */
const UNFINISHED = Symbol('unfinished');

const LONGEST_ARRAY = 2 ** 32 - 1;
/** So many missing elements take memory in any message, as they do in the array that was sent; and one more for each of its bytes. */
const FREE_HOLES = 4096;

/** Reads one message after another. */
export class Decoder extends Reader {
  #modules: string[] = [];
  /** Only kept when the message refers back to objects. */
  #objects: unknown[] | undefined;
  readonly #layouts: Layout[] = [];
  readonly #functions: AnyFunction[] = [];
  #buffers: BufferTable | undefined;
  /** How many missing elements may still take memory. */
  #holesLeft = 0;
  /** Prototypes above an object, of those that have a prototype of their own in this message. */
  #depths: Map<object, number> | undefined;

  /** The value of the message in `bytes` from `start` to `end`. */
  message(bytes: Uint8Array, start: number, end: number): unknown {
    this.open(bytes, start, end);
    this.#holesLeft = FREE_HOLES + end - start;
    if (end > start && bytes[start] === TAG.prefix) this.#prefix();
    const value = this.read();
    if (this.pos !== this.end || this.#buffers?.isRead === false) this.corrupt('something follows the value');
    return value;
  }

  /** The modules that the message in `bytes` from `start` on refers to. */
  readModules(bytes: Uint8Array, start: number, end: number): string[] {
    this.open(bytes, start, end);
    if (end > start && bytes[start] === TAG.prefix) this.#flagsAndModules();
    return this.#modules;
  }

  /** Reads what stands before the value, and the buffers behind it. */
  #prefix(): void {
    const flags = this.#flagsAndModules();
    if (flags & FLAG.shared) this.#objects = [];
    if (flags & FLAG.buffers) {
      const length = this.count();
      const start = this.pos;
      const places = new Reader();
      places.open(this.bytes, start + length, this.end);
      this.#buffers = new BufferTable(places);
      this.end = start + length;
    }
  }

  #flagsAndModules(): number {
    this.skip(1);
    const flags = this.byte();
    if (flags & FLAG.modules) {
      for (let left = this.count(); left > 0; left--) this.#modules.push(this.string());
    }
    return flags;
  }

  override close(): void {
    super.close();
    this.#objects = this.#buffers = this.#depths = undefined;
    // Setting a length costs as much as decoding a number.
    if (this.#modules.length > 0) this.#modules = [];
    if (this.#layouts.length > 0) this.#layouts.length = 0;
    if (this.#functions.length > 0) this.#functions.length = 0;
  }

  read(): unknown {
    const tag = this.byte();
    if (tag < shortString) return tag;
    if (tag < smallArray) return this.latin1(tag - shortString);
    if (tag < smallShape) return this.#array(tag - smallArray);
    if (tag < FIRST_RARE) return this.#plain(this.#layout(tag - smallShape));
    // The commonest of the others, without the way through the table.
    if (tag === int16) return this.int16();
    if (tag === int32) return this.int32();
    if (tag === float64) return this.float64();
    if (tag === define) return this.defined();
    return READERS[tag](this);
  }

  /** A value that must be a number. */
  number(): number {
    const value = this.read();
    return typeof value === 'number' ? value : this.corrupt('a number is missing');
  }

  get buffers(): BufferTable {
    return this.#buffers ?? this.corrupt('it has no buffers');
  }

  /** Takes the next number for an object to be made. */
  reserve(): number {
    return this.#objects === undefined ? 0 : this.#objects.push(UNFINISHED) - 1;
  }

  /** From now on the object can be referred to. */
  settle(number: number, object: unknown): void {
    if (this.#objects !== undefined) this.#objects[number] = object;
  }

  reference(): unknown {
    const object = this.#objects?.[this.varint()];
    if (object === undefined || object === UNFINISHED)
      this.corrupt('it refers to an object that is not there');
    return object;
  }

  #layout(number: number): Layout {
    return this.#layouts[number] ?? this.corrupt('it refers to a list of keys that is not there');
  }

  #plain(layout: Layout): object {
    if (this.#objects === undefined) return layout.make(this);
    const object = {};
    this.#objects.push(object);
    return layout.fill(object, this);
  }

  /** Keeps a definition and reads the object that stands behind it. */
  defined(): object {
    const layout = readLayout(this);
    this.#layouts.push(layout);
    return this.#plain(layout);
  }

  shaped(): object {
    return this.#plain(this.#layout(this.varint()));
  }

  dictionary(): object {
    const object = {};
    this.settle(this.reserve(), object);
    this.#pairs(object);
    return object;
  }

  /** Reads own properties into `target`. */
  fields(target: object): void {
    const tag = this.byte();
    if (tag >= smallShape && tag < FIRST_RARE) this.#layout(tag - smallShape).fill(target, this);
    else if (tag === TAG.shape) this.#layout(this.varint()).fill(target, this);
    else if (tag === TAG.dictionary) this.#pairs(target);
    else if (tag === TAG.define) {
      const layout = readLayout(this);
      this.#layouts.push(layout);
      layout.fill(target, this);
    } else this.corrupt('properties are missing');
  }

  #pairs(target: object): void {
    for (let left = this.count(2); left > 0; left--) {
      const key = this.string();
      setOwn(target, key, this.read());
    }
  }

  #array(length: number): unknown[] {
    const array: unknown[] = [];
    if (this.#objects !== undefined) this.#objects.push(array);
    this.elements(array, length);
    return array;
  }

  /** An array of any length. */
  array(): unknown[] {
    return this.#array(this.varint());
  }

  /** Reads `length` elements into an empty array. */
  elements(array: unknown[], length: number): void {
    if (length > LONGEST_ARRAY) this.corrupt('an array is too long');
    let i = 0;
    while (i < length) {
      const tag = this.bytes[this.pos];
      if (tag === TAG.hole || tag === TAG.holes) i = this.#skipMissing(array, i, length);
      else array[i++] = this.read();
    }
  }

  /** Reads how many elements are missing from the i-th on; where the next one goes. */
  #skipMissing(array: unknown[], i: number, length: number): number {
    const holes = this.#holes();
    const next = i + holes;
    if (next > length) this.corrupt('an array has more elements than it announces');
    this.#holesLeft -= holes;
    if (this.#holesLeft >= 0) array.length = next;
    else if (array.length < length) makeSparse(array, length);
    return next;
  }

  #holes(): number {
    return this.byte() === TAG.hole ? 1 : this.varint();
  }

  /** Makes a built-in object; its tag has been read. */
  builtin(type: Builtin): object {
    const number = this.reserve();
    return this.#contents(type, number);
  }

  #contents(type: Builtin, number: number): object {
    const object = type.make(this);
    this.settle(number, object);
    type.fill?.(this, object);
    return object;
  }

  instance(): object {
    const number = this.reserve();
    if (this.byte() === 0) {
      const object = this.#derived(number, () => this.#prototypeOf(this.read()));
      this.fields(object);
      return object;
    }
    const type = builtinTagged(this.byte()) ?? this.corrupt('there is no such built-in class');
    const object = this.#contents(type, number);
    Object.setPrototypeOf(object, this.#prototypeOf(this.read()));
    if (!type.writesFields) this.fields(object);
    return object;
  }

  withPrototype(): object {
    const object = this.#derived(this.reserve(), () => {
      const prototype = this.read();
      return typeof prototype === 'object' ? prototype : this.corrupt('a prototype is missing');
    });
    this.#noteDepth(object);
    this.fields(object);
    return object;
  }

  /** Along a chain without end each step would be slow, and a message has many. */
  #noteDepth(object: object): void {
    this.#depths ??= new Map();
    const depth = 1 + (this.#depths.get(Object.getPrototypeOf(object) as object) ?? 0);
    if (depth > MOST_PROTOTYPES) this.corrupt('a chain of prototypes is too long');
    this.#depths.set(object, depth);
  }

  nullPrototype(): object {
    const object = Object.create(null) as object;
    this.settle(this.reserve(), object);
    this.fields(object);
    return object;
  }

  #derived(number: number, readPrototype: () => object | null): object {
    let object: object;
    if (this.#objects === undefined) {
      object = Object.create(readPrototype()) as object;
    } else {
      // A class may refer to its own instances, so the instance comes first.
      object = {};
      this.settle(number, object);
      Object.setPrototypeOf(object, readPrototype());
    }
    return object;
  }

  #prototypeOf(maker: unknown): object {
    const prototype = typeof maker === 'function' ? (maker.prototype as unknown) : undefined;
    if (typeof prototype === 'object' && prototype !== null) return prototype;
    return this.corrupt('a class is missing');
  }

  handle(): object {
    const number = this.reserve();
    const id = this.string();
    const type = handleNamed(id);
    if (type === undefined) {
      throw new SerializationError(
        `Cannot receive a handle "${id}" as it is not registered here: import its module`,
        {
          path: `byte ${this.pos}`,
        },
      );
    }
    const made = type.make?.();
    if (made) this.settle(number, made);
    const object = type.back(this.read(), made);
    if (!made) this.settle(number, object);
    return object;
  }

  intrinsic(): object {
    const number = this.reserve();
    const object = intrinsicNamed(this.string()) ?? this.corrupt('there is no such object');
    this.settle(number, object);
    return object;
  }

  functionReference(): AnyFunction {
    return this.#functions[this.varint()] ?? this.corrupt('it refers to a function that is not there');
  }

  imported(): AnyFunction {
    const module = this.#moduleName();
    const path: string[] = [];
    for (let left = this.count(); left > 0; left--) path.push(this.string());
    let found: unknown = this.#load(module);
    for (const name of path) found = (found as Record<string, unknown> | null | undefined)?.[name];
    if (typeof found !== 'function') {
      throw new SerializationError(
        `Cannot receive ${path.join('.')} as ${module} has no function of that name here: export it always`,
        { path: path.join('.') },
      );
    }
    this.#functions.push(found as AnyFunction);
    return found as AnyFunction;
  }

  #moduleName(): string {
    return this.#modules[this.varint()] ?? this.corrupt('it refers to a module that is not there');
  }

  #load(module: string): object {
    const loaded = loadedModule(module);
    if (loaded) return loaded;
    throw new SerializationError(
      `Cannot receive something of ${module} as that module is not loaded yet: use the asynchronous form`,
      { path: module },
    );
  }

  source(): AnyFunction {
    const text = this.string();
    const shell = shellOf(text);
    const { captures } = shell;
    const plainClass = shell.form === 'class' && captures.length === 0;
    const known = plainClass ? knownClass(text) : undefined;
    if (known) {
      this.#functions.push(known);
      this.fields({});
      this.fields({});
      return known;
    }
    const rebuilt = rebuildFunction(shell);
    const fn = rebuilt.fn as AnyFunction;
    this.#functions.push(fn);
    rebuilt.fill(captures.map(each => this.#captured(each)));
    this.fields(fn);
    if (plainClass && Object.keys(fn).length === 0) rememberClass(text, fn);
    this.fields((fn as { prototype?: object }).prototype ?? fn);
    return fn;
  }

  #captured({ module, export: name }: CapturedName): unknown {
    if (module === undefined) return this.read();
    const namespace = this.#load(module);
    return name === '*' ? namespace : (namespace as Record<string, unknown>)[name ?? ''];
  }
}

/**
 * Makes an array of this length that takes memory for those elements only that are there. V8 does so by itself if they are many, and
 * then goes on with it as long as they are few.
 */
function makeSparse(array: unknown[], length: number): void {
  array.length = LONGEST_ARRAY;
  array.length = length;
}

const READERS: Read[] = new Array<Read>(256).fill(decoder => decoder.corrupt('there is no such tag'));
for (const type of builtins) READERS[type.tag] = decoder => decoder.builtin(type);
const rare: readonly (readonly [tag: number, read: Read])[] = [
  [TAG.undefined, () => undefined],
  [TAG.null, () => null],
  [TAG.true, () => true],
  [TAG.false, () => false],
  [TAG.int8, decoder => decoder.int8()],
  [TAG.int16, decoder => decoder.int16()],
  [TAG.int32, decoder => decoder.int32()],
  [TAG.float64, decoder => decoder.float64()],
  [TAG.bigint64, decoder => decoder.int64()],
  [TAG.bigint, readBigInt],
  [TAG.latin1, decoder => decoder.latin1(decoder.count())],
  [TAG.utf16, decoder => decoder.utf16(decoder.count(2))],
  [TAG.registeredSymbol, decoder => Symbol.for(decoder.string())],
  [TAG.wellKnownSymbol, readWellKnownSymbol],
  [TAG.reference, decoder => decoder.reference()],
  [TAG.array, decoder => decoder.array()],
  [TAG.define, decoder => decoder.defined()],
  [TAG.shape, decoder => decoder.shaped()],
  [TAG.dictionary, decoder => decoder.dictionary()],
  [TAG.nullPrototype, decoder => decoder.nullPrototype()],
  [TAG.withPrototype, decoder => decoder.withPrototype()],
  [TAG.instance, decoder => decoder.instance()],
  [TAG.handle, decoder => decoder.handle()],
  [TAG.functionReference, decoder => decoder.functionReference()],
  [TAG.imported, decoder => decoder.imported()],
  [TAG.source, decoder => decoder.source()],
  [TAG.intrinsic, decoder => decoder.intrinsic()],
];
for (const [tag, read] of rare) READERS[tag] = read;

function readBigInt(decoder: Decoder): bigint {
  const negative = decoder.byte() === 1;
  const value = BigInt(`0x${decoder.string()}`);
  return negative ? -value : value;
}

function readWellKnownSymbol(decoder: Decoder): symbol {
  const symbol = (Symbol as unknown as Record<string, unknown>)[decoder.string()];
  return typeof symbol === 'symbol' ? symbol : decoder.corrupt('there is no such symbol');
}
