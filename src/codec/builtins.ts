import { types } from 'node:util';
import * as ownErrors from '../errors/errors.js';
import type { Decoder } from './decoder.js';
import type { Encoder } from './encoder.js';
import { mapEntry, onTheWay, property, toFailure } from './path.js';
import { TAG } from './tags.js';
import { VIEW_TYPES } from './views.js';

/**
 * A built-in class. `write` follows the tag; `make` reads what is needed for the object to exist, `fill` reads what may
 * refer back to it.
 */
export interface Builtin {
  readonly tag: number;
  readonly prototypes: readonly object[];
  /** Own enumerable properties are written by `write` already. */
  readonly writesFields?: boolean;
  write(encoder: Encoder, object: object): void;
  make(decoder: Decoder): object;
  fill?(decoder: Decoder, object: object): void;
}

const array: Builtin = {
  tag: TAG.arrayWithFields,
  prototypes: [Array.prototype],
  writesFields: true,
  write(encoder, object) {
    const elements = object as unknown[];
    encoder.varint(elements.length);
    encoder.elements(elements, elements.length);
    encoder.fields(elements, namedKeys(elements));
  },
  make: () => [],
  fill(decoder, object) {
    decoder.elements(object as unknown[], decoder.varint());
    decoder.fields(object);
  },
};

const date: Builtin = {
  tag: TAG.date,
  prototypes: [Date.prototype],
  write: (encoder, object) => encoder.number(Date.prototype.getTime.call(object)),
  make: decoder => new Date(decoder.number()),
};

const regexp: Builtin = {
  tag: TAG.regexp,
  prototypes: [RegExp.prototype],
  write(encoder, object) {
    encoder.string((object as RegExp).source);
    encoder.string((object as RegExp).flags);
  },
  make: decoder => new RegExp(decoder.string(), decoder.string()),
};

const map: Builtin = {
  tag: TAG.map,
  prototypes: [Map.prototype],
  write(encoder, object) {
    // Copied first: a getter met on the way may change the map.
    const flat: unknown[] = [];
    Map.prototype.forEach.call(object, (value, key) => flat.push(key, value));
    encoder.varint(flat.length / 2);
    let at = 0;
    try {
      for (; at < flat.length; at++) encoder.write(flat[at]);
    } catch (error) {
      throw onTheWay(error, at % 2 === 0 ? `.keys()[${at / 2}]` : mapEntry(flat[at - 1], (at - 1) / 2));
    }
  },
  make: () => new Map(),
  fill(decoder, object) {
    for (let left = decoder.count(2); left > 0; left--) {
      const key = decoder.read();
      Map.prototype.set.call(object, key, decoder.read());
    }
  },
};

const set: Builtin = {
  tag: TAG.set,
  prototypes: [Set.prototype],
  write(encoder, object) {
    const values: unknown[] = [];
    Set.prototype.forEach.call(object, value => values.push(value));
    encoder.varint(values.length);
    let at = 0;
    try {
      for (; at < values.length; at++) encoder.write(values[at]);
    } catch (error) {
      throw onTheWay(error, `.values()[${at}]`);
    }
  },
  make: () => new Set(),
  fill(decoder, object) {
    for (let left = decoder.count(); left > 0; left--) Set.prototype.add.call(object, decoder.read());
  },
};

const boxed: Builtin = {
  tag: TAG.boxed,
  prototypes: [Number, String, Boolean, BigInt, Symbol].map(type => type.prototype),
  // valueOf of the right class, whatever the object says of itself; each throws for the others' objects.
  write: (encoder, object) => encoder.write(unboxed(object)),
  make(decoder) {
    const value = decoder.read();
    if (typeof value === 'object' || typeof value === 'function' || value === undefined) {
      return decoder.corrupt('a primitive value is missing');
    }
    return Object(value) as object;
  },
};

function unboxed(object: object): unknown {
  if (types.isNumberObject(object)) return Number.prototype.valueOf.call(object);
  if (types.isStringObject(object)) return String.prototype.valueOf.call(object);
  if (types.isBooleanObject(object)) return Boolean.prototype.valueOf.call(object);
  if (types.isBigIntObject(object)) return BigInt.prototype.valueOf.call(object);
  return Symbol.prototype.valueOf.call(object);
}

const url: Builtin = {
  tag: TAG.url,
  prototypes: [URL.prototype],
  write: (encoder, object) => encoder.string((object as URL).href),
  make: decoder => new URL(decoder.string()),
};

const urlSearchParams: Builtin = {
  tag: TAG.urlSearchParams,
  prototypes: [URLSearchParams.prototype],
  write: (encoder, object) => encoder.string(URLSearchParams.prototype.toString.call(object)),
  make: decoder => new URLSearchParams(decoder.string()),
};

const arrayBuffer: Builtin = {
  tag: TAG.arrayBuffer,
  prototypes: [ArrayBuffer.prototype],
  write: (encoder, object) => encoder.view(object as ArrayBuffer, 1),
  make: decoder => decoder.buffers.next().buffer,
};

const viewTypeOf = new Map(VIEW_TYPES.flatMap(type => (type ? [[type.prototype, type] as const] : [])));

const view: Builtin = {
  tag: TAG.view,
  prototypes: [...viewTypeOf.keys()],
  write(encoder, object) {
    const item = object as ArrayBufferView;
    const type = nearest(object, viewTypeOf);
    encoder.byte(type.number);
    encoder.varint(item.byteLength / type.elementSize);
    encoder.view(item, type.elementSize);
  },
  make(decoder) {
    const type = VIEW_TYPES[decoder.byte()];
    if (type === undefined) return decoder.corrupt('this Node has no such typed array');
    const length = decoder.varint();
    const { buffer, offset } = decoder.buffers.next();
    return type.make(buffer, offset, length);
  },
};

const errorTypes = new Map<object, string>();
const errorPrototypes = new Map<string, object>();
for (const type of [
  Error,
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
  AggregateError,
  ...Object.values(ownErrors),
]) {
  errorTypes.set(type.prototype, type.name);
  errorPrototypes.set(type.name, type.prototype);
}

const error: Builtin = {
  tag: TAG.error,
  prototypes: [...errorTypes.keys()],
  writesFields: true,
  write(encoder, object) {
    encoder.string(nearest(object, errorTypes));
    writeErrorProperties(encoder, object);
  },
  make(decoder) {
    const prototype = errorPrototypes.get(decoder.string());
    if (prototype === undefined) return decoder.corrupt('there is no such class of errors');
    const made = withoutStack(() => new Error());
    if (prototype !== Error.prototype) Object.setPrototypeOf(made, prototype);
    return made;
  },
  fill: readErrorProperties,
};

/** An error whose class cannot be imported over there. */
const remoteError: Builtin = {
  tag: TAG.remoteError,
  prototypes: [],
  writesFields: true,
  write(encoder, object) {
    const { name } = object as Error;
    const className = (object.constructor as { name?: unknown } | undefined)?.name;
    // A name of its own says more than the class's; without one, `name` is that of the built-in class below.
    const known = errorPrototypes.has(String(name)) && typeof className === 'string' && className !== '';
    encoder.string(String(known ? className : name));
    writeErrorProperties(encoder, object);
  },
  make(decoder) {
    const remoteName = decoder.string();
    return withoutStack(() => new ownErrors.RemoteError('', { remoteName }));
  },
  fill: readErrorProperties,
};

const domException: Builtin = {
  tag: TAG.domException,
  prototypes: [DOMException.prototype],
  write(encoder, object) {
    const { name, message, stack } = object as DOMException;
    encoder.string(name);
    encoder.string(message);
    encoder.write(stack);
  },
  make(decoder) {
    const name = decoder.string();
    const message = decoder.string();
    const made = withoutStack(() => new DOMException(message, name));
    setHidden(made, 'stack', decoder.read());
    return made;
  },
};

/**
 * Stack, properties that are not enumerable (message, cause, errors), own fields. Those in `encoder.omitted` stay here
 * and are named in a field `notSent`.
 */
function writeErrorProperties(encoder: Encoder, object: object): void {
  const values = object as Record<string, unknown>;
  const omitted = encoder.omitted?.get(object);
  const hidden: string[] = [];
  const fields: string[] = [];
  for (const key of Object.getOwnPropertyNames(object)) {
    if (key === 'stack' || omitted?.has(key)) continue;
    const own = Object.getOwnPropertyDescriptor(object, key);
    if (own?.enumerable) fields.push(key);
    // Node hides methods of its own on its errors.
    else if (typeof own?.value !== 'function') hidden.push(key);
  }
  let key = 'stack';
  try {
    encoder.write(omitted?.has('stack') ? undefined : stackOf(values));
    encoder.varint(hidden.length);
    for (key of hidden) {
      encoder.string(key);
      encoder.write(values[key]);
    }
  } catch (thrown) {
    const failure = onTheWay(thrown, property(key));
    failure.blame(object);
    throw failure;
  }
  try {
    if (omitted) {
      const notSent = { value: [...omitted], enumerable: true };
      encoder.fields(Object.create(object, { notSent }) as object, [...fields, 'notSent']);
    } else {
      encoder.fields(object, fields);
    }
  } catch (thrown) {
    const failure = toFailure(thrown);
    failure.blame(object);
    throw failure;
  }
}

function stackOf(error: { readonly stack?: unknown }): string | undefined {
  return typeof error.stack === 'string' ? error.stack : undefined;
}

function readErrorProperties(decoder: Decoder, object: object): void {
  const stack = decoder.read();
  if (typeof stack === 'string') setHidden(object, 'stack', stack);
  else Reflect.deleteProperty(object, 'stack');
  for (let left = decoder.count(2); left > 0; left--) {
    const key = decoder.string();
    setHidden(object, key, decoder.read());
  }
  decoder.fields(object);
}

function setHidden(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, writable: true, enumerable: false, configurable: true });
}

/** Taking a stack costs more than everything else about an error, and here it would be thrown away. */
function withoutStack<T>(make: () => T): T {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return make();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

/** What `known` holds for the nearest prototype of `object`; another realm's prototypes count as ours of that name. */
function nearest<T>(object: object, known: ReadonlyMap<object, T>): T {
  for (let at = Object.getPrototypeOf(object); at !== null; at = Object.getPrototypeOf(at)) {
    const found = known.get(at) ?? known.get(ourPrototype(at.constructor?.name) ?? at);
    if (found !== undefined) return found;
  }
  throw new TypeError('its prototype changed while it was read');
}

/** The prototype of this realm's global class of that name. */
export function ourPrototype(name: unknown): object | undefined {
  const type = (globalThis as Record<string, unknown>)[String(name)] as
    | { prototype?: object }
    | null
    | undefined;
  return type?.prototype;
}

/** Own enumerable keys that are no indices. */
export function namedKeys(object: object): string[] {
  return Object.keys(object).filter(key => !isIndex(key));
}

/** Whether a property key is an array index, written the one way that counts. */
export function isIndex(key: string): boolean {
  const first = key.charCodeAt(0);
  if (!(first >= 48 && first <= 57)) return false;
  const number = Number(key) >>> 0;
  return String(number) === key && number !== 0xffff_ffff;
}

const BUILTINS = [
  array,
  date,
  regexp,
  map,
  set,
  boxed,
  url,
  urlSearchParams,
  arrayBuffer,
  view,
  error,
  remoteError,
  domException,
];

const byPrototype = new Map(BUILTINS.flatMap(type => type.prototypes.map(each => [each, type] as const)));
const byTag = new Map(BUILTINS.map(type => [type.tag, type] as const));

export function builtinOf(prototype: object): Builtin | undefined {
  return byPrototype.get(prototype);
}

export function builtinTagged(tag: number): Builtin | undefined {
  return byTag.get(tag);
}

export function isErrorPrototype(prototype: object): boolean {
  return errorTypes.has(prototype);
}

export const builtins: readonly Builtin[] = BUILTINS;
export const remote: Builtin = remoteError;
