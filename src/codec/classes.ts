import { types } from 'node:util';
import { SerializationError } from '../errors/errors.js';
import { ourPrototype } from './builtins.js';
import { describeFunction } from './functions/describe.js';
import { Failure } from './path.js';

type AnyFunction = (...args: never) => unknown;

/** What objects of one prototype are. */
export type Kind =
  /** Of a class of the program; `base` is the prototype of the built-in class below, or null. */
  | { readonly kind: 'instance'; readonly type: AnyFunction; readonly base: object | null }
  /** Made by Object.create() and the like: there is a prototype, but no class. */
  | { readonly kind: 'derived'; readonly prototype: object }
  /** Another realm's Object.prototype, or a built-in of it: `name` is the constructor's. */
  | { readonly kind: 'foreign'; readonly name: string }
  /** Made by native code or by Node's own modules, in a way that cannot be made again. */
  | { readonly kind: 'native'; readonly name: string; readonly type?: AnyFunction }
  /** Its class has #private members, which only its own constructor can make. */
  | { readonly kind: 'private'; readonly name: string; readonly member: string };

/**
 * Tells what objects with this prototype are. `isBuiltin` knows the prototypes of the built-in classes that the codec
 * writes itself; it is asked from the nearest prototype on upwards.
 */
export function kindOf(prototype: object, isBuiltin: (prototype: object) => boolean): Kind {
  let own: AnyFunction | undefined;
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at)) {
    if (at === Object.prototype || isBuiltin(at)) {
      const base = at === Object.prototype ? null : at;
      if (own) return { kind: 'instance', type: own, base };
      if (base) return { kind: 'native', name: nameOf(prototype) };
      return { kind: 'derived', prototype };
    }
    const maker = constructorOf(at);
    if (maker === undefined) {
      // Iterators, generators and their like: no constructor, but a name of their own.
      if (Object.hasOwn(at, Symbol.toStringTag)) return { kind: 'native', name: nameOf(prototype) };
      continue;
    }
    if (isNative(maker)) {
      if (at === prototype) return { kind: 'foreign', name: maker.name };
      // A class of the program over a built-in of another realm: ours of that name takes its place.
      const ours = ourPrototype(maker.name);
      const base = ours && ours !== Object.prototype && isBuiltin(ours) ? ours : null;
      return own && (base || ours === Object.prototype)
        ? { kind: 'instance', type: own, base }
        : { kind: 'native', name: nameOf(prototype) };
    }
    if (isOfNode(maker)) {
      return { kind: 'native', name: nameOf(prototype), ...(at === prototype && { type: maker }) };
    }
    const member = privateMember(maker);
    if (member) return { kind: 'private', name: maker.name, member };
    if (at === prototype) own = maker;
  }
  return own ? { kind: 'instance', type: own, base: null } : { kind: 'derived', prototype };
}

/** Whether a class can be imported over there, so that its objects are objects of the same class. */
export function isImportable(maker: AnyFunction): boolean {
  try {
    return describeFunction(maker).kind === 'reference';
  } catch {
    return false;
  }
}

/** The name of an object's class, for messages. */
export function nameOf(prototype: object | null): string {
  for (let at = prototype; at !== null; at = Object.getPrototypeOf(at)) {
    const maker = constructorOf(at);
    if (maker?.name) return maker.name;
    const tag = Object.getOwnPropertyDescriptor(at, Symbol.toStringTag)?.value;
    if (typeof tag === 'string') return tag;
  }
  return 'Object';
}

/** The function of which `prototype` is the prototype. */
function constructorOf(prototype: object): AnyFunction | undefined {
  if (types.isProxy(prototype)) return undefined;
  const maker = Object.getOwnPropertyDescriptor(prototype, 'constructor')?.value;
  return typeof maker === 'function' && maker.prototype === prototype ? maker : undefined;
}

function sourceOf(fn: AnyFunction): string {
  return Function.prototype.toString.call(fn);
}

function isNative(fn: AnyFunction): boolean {
  return sourceOf(fn).endsWith('[native code] }');
}

/** Whether a class belongs to one of Node's own modules: its objects have parts in native code. */
function isOfNode(maker: AnyFunction): boolean {
  try {
    const description = describeFunction(maker);
    return description.kind === 'reference'
      ? description.module === 'globalThis' || description.module.startsWith('node:')
      : description.shell.url.startsWith('node:');
  } catch (error) {
    // Classes inside Node that no module exports. What else is wrong with a class is told when it is written.
    return error instanceof SerializationError && error.message.includes('native code');
  }
}

/** A #private member of a class. */
export interface PrivateMember {
  /** As in `#name`. */
  readonly member: string;
  /** The name of the class. */
  readonly owner: string;
}

const privateMembers = new WeakMap<object, PrivateMember | null>();

/** A #private member that objects with this prototype have, if they have any besides those of class `base` and below. */
export function privateMemberAbove(prototype: object, base: object): PrivateMember | undefined {
  let found = privateMembers.get(prototype);
  if (found === undefined) {
    found = findPrivateMember(prototype, base);
    privateMembers.set(prototype, found);
  }
  return found ?? undefined;
}

function findPrivateMember(prototype: object, base: object): PrivateMember | null {
  for (let at = prototype; at !== base && at !== null; at = Object.getPrototypeOf(at)) {
    const maker = constructorOf(at);
    const member = maker && privateMember(maker);
    if (member) return { member, owner: maker.name };
  }
  return null;
}

/** The name of a #private field, method or accessor of the class's objects, as in `#name`. */
function privateMember(maker: AnyFunction): string | undefined {
  const source = sourceOf(maker);
  if (!source.startsWith('class') || !source.includes('#')) return undefined;
  // Loaded on first use, as where functions are parsed.
  const { parseExpressionAt } = require('acorn') as typeof import('acorn');
  let expression: ReturnType<typeof parseExpressionAt>;
  try {
    expression = parseExpressionAt(source, 0, { ecmaVersion: 'latest', checkPrivateFields: false });
  } catch {
    // Syntax newer than the parser: believe what looks like a private name.
    return /#[\p{ID_Start}$_][\p{ID_Continue}$]*/u.exec(source)?.[0];
  }
  if (expression.type !== 'ClassExpression') return undefined;
  for (const member of expression.body.body) {
    if (member.type === 'StaticBlock' || member.static) continue;
    if (member.key.type === 'PrivateIdentifier') return `#${member.key.name}`;
  }
  return undefined;
}

/** Fails for objects whose state is not in their properties, whatever their prototype says. */
export function refuseNative(object: object): void {
  const name = nativeName(object);
  if (name) throw nativeFailure(name);
}

function nativeName(object: object): string | undefined {
  if (types.isPromise(object)) return 'Promise';
  if (types.isWeakMap(object)) return 'WeakMap';
  if (types.isWeakSet(object)) return 'WeakSet';
  if (types.isGeneratorObject(object)) return 'generator';
  if (types.isModuleNamespaceObject(object)) return 'module namespace';
  if (types.isExternal(object)) return 'native object';
  return undefined;
}

const ADVICE: Record<string, string> = {
  Promise: 'await it first',
  generator: 'collect its values into an array',
  'module namespace': 'import the module where it is needed',
  SharedArrayBuffer: 'copy its bytes, as in new Uint8Array(buffer).slice()',
  Socket: 'send host and port, and connect over there',
  WeakRef: 'send what it refers to',
  // process.env, for one: its maker is no class
  '': 'send a copy of its properties, as in { ...process.env }',
};

/** The failure for an object of a native class. */
export function nativeFailure(name: string): Failure {
  const state =
    name === 'SharedArrayBuffer'
      ? 'it is a SharedArrayBuffer, which cannot leave the process'
      : `it is ${name === '' ? 'of a native class without a name' : `a ${name}`}, whose state is inside this process`;
  return new Failure(state, ADVICE[name] ?? 'send what it is made from, and make it over there');
}
