import { inspect, types } from 'node:util';
import { SerializationError } from '../errors/errors.js';
import { type Builtin, builtinOf, isErrorPrototype, isIndex, ourPrototype, remote } from './builtins.js';
import { isImportable, kindOf, nameOf, nativeFailure, refuseNative } from './classes.js';
import { describeFunction, type Neighbours } from './functions/describe.js';
import type { Reference, Source } from './functions/description.js';
import { textOf } from './functions/shells.js';
import { handleBelow, handleOf, refusalOf } from './handles.js';
import { intrinsicName } from './intrinsics.js';
import { rememberClass } from './known-classes.js';
import { capture, Failure, index, onTheWay, property, toFailure } from './path.js';
import { shapeOf } from './shapes.js';
import { FLAG, MOST_PROTOTYPES, TAG } from './tags.js';
import { ViewTable } from './views.js';
import { type Spill, Writer } from './writer.js';

type AnyFunction = (...args: never) => unknown;
type WriteObject = (encoder: Encoder, object: object) => void;

const { isProxy } = types;
const { getPrototypeOf, keys: keysOf, hasOwn } = Object;
const objectPrototype = Object.prototype;
const arrayPrototype = Array.prototype;

/** Up to so many objects a plain list is faster than a Map. */
const LINEAR = 40;
/** Above this, listing an array's keys to find those that are no elements costs more than asking inspect(). */
const MANY_ELEMENTS = 256;
/** A longer run of missing elements is skipped by way of the keys that are there. */
const LONG_RUN = 1024;

/** How objects of a prototype are written, once found out. */
const writers = new WeakMap<object, WriteObject>();

/** What a call may set. */
export interface EncoderSettings {
  /** For thrown values: errors of classes that cannot be imported become RemoteError. */
  readonly thrown?: boolean;
  /** For thrown values: properties of errors to be left out. */
  readonly omitted?: ReadonlyMap<object, ReadonlySet<string>>;
  /** For readers in other programs as well. */
  readonly abroad?: boolean;
  /** See Writer. */
  readonly spill?: Spill | undefined;
  readonly replace?: Replace | undefined;
}

/**
 * Is asked of each object but once in a message, and gives what crosses in its place: an object of a class that is registered as a
 * handle. Undefined: the object itself.
 */
export type Replace = (object: object) => object | undefined;

/** Where prefixes are put together: nothing of the user's runs meanwhile. */
const head = new Writer();

let messages = 0;
let idle: Encoder | undefined;

/**
 * Encodes a value into `target` at `offset`, or elsewhere when that is missing or too small, and lets `use` fetch the
 * message. @throws {Failure} Something in it cannot cross.
 */
export function withEncoder<R>(
  value: unknown,
  settings: EncoderSettings | undefined,
  target: Uint8Array | undefined,
  offset: number,
  use: (encoder: Encoder, target: Uint8Array | undefined, offset: number) => R,
): R {
  // A getter met on the way may encode, too: it finds no idle encoder and gets a new one.
  const encoder = idle ?? new Encoder();
  idle = undefined;
  try {
    encoder.open(target, offset);
    if (settings?.thrown) encoder.forThrown(settings);
    if (settings?.abroad) encoder.abroad = true;
    encoder.spill = settings?.spill;
    encoder.replace = settings?.replace;
    encoder.message(value);
    return use(encoder, target, offset);
  } catch (error) {
    throw toFailure(error);
  } finally {
    encoder.close();
    idle = encoder;
  }
}

/** Writes one value after another, each as one message. */
export class Encoder extends Writer {
  thrown = false;
  abroad = false;
  omitted: EncoderSettings['omitted'];
  replace: Replace | undefined;

  #message = 0;
  #shapes = 0;
  #flags = 0;
  #count = 0;
  readonly #few: (object | undefined)[] = new Array(LINEAR).fill(undefined);
  #many: Map<object, number> | undefined;
  #functions: Map<AnyFunction, number> | undefined;
  #neighbours: Neighbours | undefined;
  #modules: string[] | undefined;
  #views: ViewTable | undefined;

  /** Writes the whole message. Afterwards it stands from `start` to `pos`, until close(). */
  message(value: unknown): void {
    this.#message = ++messages;
    this.write(value);
    if (this.#flags !== 0) this.#finish();
  }

  forThrown(settings: EncoderSettings): void {
    this.thrown = true;
    this.omitted = settings.omitted;
  }

  override close(): void {
    super.close();
    this.#few.fill(undefined, 0, Math.min(this.#count, LINEAR));
    this.#shapes = this.#flags = this.#count = 0;
    this.#many = this.#functions = this.#neighbours = this.#modules = this.#views = undefined;
    this.thrown = this.abroad = false;
    this.omitted = this.replace = undefined;
  }

  /** Buffers behind the value, the prefix before it. */
  #finish(): void {
    head.open();
    head.byte(TAG.prefix);
    head.byte(this.#flags);
    if (this.#modules) {
      head.varint(this.#modules.length);
      for (const module of this.#modules) head.string(module);
    }
    const views = this.#views;
    if (views) head.varint(this.length);
    const prefix = head.bytes.subarray(head.start, head.pos);
    if (views) this.reserve(prefix.length + views.measure());
    this.prepend(prefix);
    views?.write(this);
  }

  write(value: unknown): void {
    switch (typeof value) {
      case 'number':
        this.number(value);
        break;
      case 'string':
        this.string(value);
        break;
      case 'object':
        if (value === null) this.byte(TAG.null);
        else this.#object(value);
        break;
      case 'boolean':
        this.byte(value ? TAG.true : TAG.false);
        break;
      case 'undefined':
        this.byte(TAG.undefined);
        break;
      case 'function':
        this.#function(value as AnyFunction);
        break;
      case 'bigint':
        this.#bigint(value);
        break;
      case 'symbol':
        this.#symbol(value);
        break;
    }
  }

  #object(original: object): void {
    if (this.#refersBack(original)) return;
    const object = this.replace?.(original) ?? original;
    if (isProxy(object)) {
      throw new Failure(
        'it is a Proxy, whose behaviour is in functions of its handler',
        'send a plain copy of it',
      );
    }
    const prototype = getPrototypeOf(object);
    if (prototype === objectPrototype) {
      const keys = keysOf(object);
      if (keys.length === 0 && this.#intrinsic(object)) return;
      this.#record(object as Record<string, unknown>, keys);
    } else if (prototype === arrayPrototype) {
      this.#array(object as unknown[]);
    } else if (prototype === null) {
      refuseNative(object);
      this.byte(TAG.nullPrototype);
      this.fields(object, keysOf(object));
    } else {
      let writer = writers.get(prototype);
      if (writer === undefined) {
        writer = writerFor(prototype, object);
        writers.set(prototype, writer);
      }
      writer(this, object);
    }
  }

  /** Writes a reference if the object is in the message already, else numbers it. */
  #refersBack(object: object): boolean {
    const count = this.#count;
    if (this.#many === undefined) {
      const few = this.#few;
      for (let i = 0; i < count; i++) if (few[i] === object) return this.#reference(i);
      if (count < LINEAR) {
        few[count] = object;
      } else {
        const many = new Map<object, number>();
        for (let i = 0; i < LINEAR; i++) many.set(few[i] as object, i);
        many.set(object, count);
        this.#many = many;
      }
    } else {
      const known = this.#many.get(object);
      if (known !== undefined) return this.#reference(known);
      this.#many.set(object, count);
    }
    this.#count = count + 1;
    return false;
  }

  #reference(number: number): true {
    this.#flags |= FLAG.shared;
    this.byte(TAG.reference);
    this.varint(number);
    return true;
  }

  #intrinsic(object: object): boolean {
    const name = intrinsicName(object);
    if (name === undefined) return false;
    this.byte(TAG.intrinsic);
    this.string(name);
    return true;
  }

  /** Own properties, read one after the other: accessors are called. */
  fields(object: object, keys: readonly string[]): void {
    this.#record(object as Record<string, unknown>, keys);
  }

  #record(object: Record<string, unknown>, keys: readonly string[]): void {
    const shape = shapeOf(keys);
    if (shape === undefined) {
      this.#dictionary(object, keys);
      return;
    }
    if (shape.message === this.#message) {
      const number = shape.index;
      if (number < 16) {
        this.byte(TAG.smallShape + number);
      } else {
        this.byte(TAG.shape);
        this.varint(number);
      }
    } else {
      shape.message = this.#message;
      shape.index = this.#shapes++;
      this.byte(TAG.define);
      shape.define(this);
    }
    let i = 0;
    try {
      for (; i < keys.length; i++) this.write(object[keys[i]]);
    } catch (error) {
      throw onTheWay(error, property(keys[i]));
    }
  }

  #dictionary(object: Record<string, unknown>, keys: readonly string[]): void {
    this.byte(TAG.dictionary);
    this.varint(keys.length);
    let i = 0;
    try {
      for (; i < keys.length; i++) {
        this.string(keys[i]);
        this.write(object[keys[i]]);
      }
    } catch (error) {
      throw onTheWay(error, property(keys[i]));
    }
  }

  #array(array: unknown[]): void {
    const { length } = array;
    const names = namesOf(array);
    if (names !== undefined) {
      this.byte(TAG.arrayWithFields);
      this.varint(length);
    } else if (length < 16) {
      this.byte(TAG.smallArray + length);
    } else {
      this.byte(TAG.array);
      this.varint(length);
    }
    this.elements(array, length);
    if (names !== undefined) this.fields(array, names);
  }

  /** `length` elements, missing ones too. */
  elements(array: readonly unknown[], length: number): void {
    let i = 0;
    try {
      for (; i < length; i++) {
        const value = array[i];
        if (value === undefined && !hasOwn(array, i)) i = this.#holes(array, i, length) - 1;
        else this.write(value);
      }
    } catch (error) {
      throw onTheWay(error, index(i));
    }
  }

  /** Writes the run of missing elements that begins at `from`, and returns where it ends. */
  #holes(array: readonly unknown[], from: number, length: number): number {
    let to = from + 1;
    while (to < length && to - from < LONG_RUN && !hasOwn(array, to)) to++;
    if (to - from === LONG_RUN) {
      // It may be an array of a few elements and a length of millions.
      const next = keysOf(array).find(key => Number(key) >= to);
      to = next !== undefined && isIndex(next) ? Math.min(Number(next), length) : length;
    }
    if (to - from === 1) {
      this.byte(TAG.hole);
    } else {
      this.byte(TAG.holes);
      this.varint(to - from);
    }
    return to;
  }

  #bigint(value: bigint): void {
    if (BigInt.asIntN(64, value) === value) {
      this.byte(TAG.bigint64);
      this.int64(value);
    } else {
      this.byte(TAG.bigint);
      this.byte(value < 0n ? 1 : 0);
      this.string((value < 0n ? -value : value).toString(16));
    }
  }

  #symbol(symbol: symbol): void {
    const key = Symbol.keyFor(symbol);
    if (key !== undefined) {
      this.byte(TAG.registeredSymbol);
      this.string(key);
      return;
    }
    const { description } = symbol;
    const name = description?.startsWith('Symbol.') ? description.slice('Symbol.'.length) : '';
    if ((Symbol as unknown as Record<string, unknown>)[name] !== symbol) {
      throw new Failure(`${String(symbol)} exists in this process only`, 'use Symbol.for()');
    }
    this.byte(TAG.wellKnownSymbol);
    this.string(name);
  }

  /** An ArrayBuffer or a view of one; its bytes follow at the end of the message. */
  view(item: ArrayBuffer | ArrayBufferView, elementSize: number): void {
    this.#views ??= new ViewTable();
    this.#views.add(item, elementSize);
    this.#flags |= FLAG.buffers;
  }

  #function(fn: AnyFunction): void {
    this.#functions ??= new Map();
    const number = this.#functions.get(fn);
    if (number !== undefined) {
      this.byte(TAG.functionReference);
      this.varint(number);
      return;
    }
    if (isProxy(fn)) {
      throw new Failure(
        'it is a Proxy, whose behaviour is in functions of its handler',
        'send the function itself',
      );
    }
    this.#neighbours ??= new Map();
    const description = describe(fn, this.#neighbours);
    this.#functions.set(fn, this.#functions.size);
    if (description.kind === 'source') this.#source(fn, description);
    else this.#import(description);
  }

  #import({ module, path }: Reference): void {
    this.byte(TAG.imported);
    this.varint(this.#module(module));
    this.varint(path.length);
    for (const name of path) this.string(name);
  }

  #source(fn: AnyFunction, description: Source): void {
    const { shell, captures } = description;
    const text = textOf(shell);
    this.byte(TAG.source);
    this.string(text);
    for (const each of captures) if ('module' in each) this.#module(each.module);
    for (const each of captures) {
      if ('module' in each) continue;
      try {
        this.write(each.value);
      } catch (error) {
        throw onTheWay(error, capture(fn, each.name));
      }
    }
    const statics = keysOf(fn);
    if (shell.form === 'class' && captures.length === 0 && statics.length === 0) rememberClass(text, fn);
    this.fields(fn, statics);
    // Methods put on the prototype of an old-style constructor are not in its source.
    const { prototype } = fn as { prototype?: object };
    const methods = shell.form !== 'class' && prototype ? keysOf(prototype) : [];
    try {
      this.fields(prototype ?? fn, methods);
    } catch (error) {
      throw onTheWay(error, '.prototype');
    }
  }

  /** Has the module loaded before the message is read. Its number there. */
  #module(module: string): number {
    this.#modules ??= [];
    this.#flags |= FLAG.modules;
    const number = this.#modules.indexOf(module);
    return number < 0 ? this.#modules.push(module) - 1 : number;
  }

  /** An object whose prototype is neither Object's nor Array's nor a built-in's: never an array or plain object. */
  special(object: object): boolean {
    refuseNative(object);
    return this.#intrinsic(object);
  }
}

function describe(fn: AnyFunction, neighbours: Neighbours): ReturnType<typeof describeFunction> {
  try {
    return describeFunction(fn, neighbours);
  } catch (error) {
    if (error instanceof SerializationError) throw new Failure('', '', error);
    throw error;
  }
}

/** Names of own enumerable properties that are no elements, or undefined when there are none. */
function namesOf(array: readonly unknown[]): string[] | undefined {
  if (array.length > MANY_ELEMENTS) {
    // inspect() asks V8 for them directly. Any other answer than this one is settled by looking at all keys.
    const options = { maxArrayLength: 0, depth: 0, customInspect: false, colors: false } as const;
    if (inspect(array, options) === `[ ... ${array.length} more items ]`) return undefined;
  }
  const keys = keysOf(array);
  if (keys.length === 0) return undefined;
  // Indices come first, so the last key tells.
  const last = keys[keys.length - 1];
  if (last === String(array.length - 1) || isIndex(last)) return undefined;
  return keys.filter(key => !isIndex(key));
}

function writeBuiltin(encoder: Encoder, type: Builtin, object: object): void {
  encoder.byte(type.tag);
  type.write(encoder, object);
}

/** Finds out how to write objects of this prototype; `object` is one of them. */
function writerFor(prototype: object, object: object): WriteObject {
  const refusal = refusalOf(prototype);
  if (refusal) throw refusal;
  const handle = handleOf(prototype);
  if (handle) {
    return (encoder, each) => {
      if (encoder.abroad && !handle.isReachable(each)) throw unreachable(handle.type.name);
      encoder.byte(TAG.handle);
      encoder.string(handle.id);
      encoder.write(handle.out(each, encoder.abroad));
    };
  }
  const below = handleBelow(prototype);
  if (below) {
    throw new Failure(
      `its class ${prototype.constructor.name} extends ${below.type.name}, of which only what is shared crosses`,
      `send a ${below.type.name}, and make a ${prototype.constructor.name} that has it over there`,
    );
  }
  const builtin = builtinOf(prototype);
  if (builtin) return (encoder, each) => writeBuiltin(encoder, builtin, each);

  const kind = kindOf(prototype, at => builtinOf(at) !== undefined);
  switch (kind.kind) {
    case 'instance':
      return instanceWriter(kind.type, kind.base);
    case 'derived': {
      const isTooLong = chainLength(prototype) > MOST_PROTOTYPES;
      return (encoder, each) => {
        if (encoder.special(each)) return;
        if (isTooLong)
          throw new Failure(
            `its chain of prototypes is longer than ${MOST_PROTOTYPES}`,
            'send what is in it as an array',
          );
        encoder.byte(TAG.withPrototype);
        try {
          encoder.write(kind.prototype);
        } catch (error) {
          throw onTheWay(error, '.__proto__');
        }
        encoder.fields(each, keysOf(each));
      };
    }
    case 'foreign':
      return foreignWriter(kind.name, object);
    case 'private':
      return refusingUnlessThrown(
        () =>
          new Failure(
            `its class ${kind.name} has the private member ${kind.member}, which only its constructor can make`,
            'send plain data and call the constructor over there, or write "private" in place of "#"',
          ),
      );
    case 'native': {
      const { type, name } = kind;
      if (types.isNativeError(object)) {
        // Node's own errors: one that can be imported is one of its class again, others are told by name and code.
        if (type && isImportable(type)) return instanceWriter(type, Error.prototype);
        return (encoder, each) => writeBuiltin(encoder, builtinOf(Error.prototype) as Builtin, each);
      }
      return (encoder, each) => {
        if (!encoder.special(each)) throw nativeFailure(name);
      };
    }
  }
}

function chainLength(prototype: object): number {
  let length = 0;
  for (let at: object | null = prototype; at !== null; at = getPrototypeOf(at)) length++;
  return length;
}

function unreachable(name: string): Failure {
  return new Failure(
    `this ${name} lies in the memory of this program, and what is sent is for other programs, too`,
    `give the ${name} a name of its own if it can have one, or send it another way`,
  );
}

/** Contents of the built-in class below, if there is one, then the class, then own fields. */
function instanceWriter(maker: AnyFunction, base: object | null): WriteObject {
  const type = base === null ? undefined : builtinOf(base);
  const isError = base !== null && isErrorPrototype(base);
  return (encoder, object) => {
    if (isError && encoder.thrown && !isImportable(maker)) {
      writeBuiltin(encoder, remote, object);
      return;
    }
    encoder.byte(TAG.instance);
    if (type) {
      encoder.byte(1);
      writeBuiltin(encoder, type, object);
    } else {
      encoder.byte(0);
    }
    try {
      encoder.write(maker);
    } catch (error) {
      throw onTheWay(error, '.constructor');
    }
    if (!type?.writesFields) {
      encoder.fields(object, type ? keysOf(object).filter(key => !isIndex(key)) : keysOf(object));
    }
  };
}

/** Objects of another realm (node:vm) become ours of the same class. */
function foreignWriter(name: string, object: object): WriteObject {
  if (name === 'Object') return (encoder, each) => encoder.fields(each, keysOf(each));
  const ours = ourPrototype(name);
  const type = ours && builtinOf(ours);
  // A constructor's name proves nothing: the object must be what its prototype says.
  if (type && nameOf(getPrototypeOf(object)) === name)
    return (encoder, each) => writeBuiltin(encoder, type, each);
  return (encoder, each) => {
    if (!encoder.special(each)) throw nativeFailure(name);
  };
}

function refusingUnlessThrown(failure: () => Failure): WriteObject {
  return (encoder, object) => {
    if (!encoder.thrown || !types.isNativeError(object)) throw failure();
    writeBuiltin(encoder, remote, object);
  };
}
