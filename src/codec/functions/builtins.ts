import { builtinModules } from 'node:module';

/** Where a value of the platform is found: a builtin module or `globalThis`, and property names from there. */
export interface BuiltinPath {
  readonly module: string;
  readonly path: readonly string[];
}

/** The pseudo-module whose namespace is the global object. */
export const GLOBAL = 'globalThis';

/** Modules that warn, or do something, when merely asked for. */
const AVOIDED = new Set(['punycode', 'sys', 'wasi', 'sqlite', 'test', 'trace_events']);

const ENUMERABLE_GLOBALS = new Set(
  (
    'global clearImmediate setImmediate clearInterval clearTimeout setInterval setTimeout queueMicrotask ' +
    'structuredClone atob btoa performance fetch navigator crypto'
  ).split(' '),
);

/** Global objects and whole modules. */
const owners = new Map<unknown, BuiltinPath>();
/** Functions that those have. */
const members = new Map<unknown, BuiltinPath>();
let knownModules = -1;

/** Finds a function or object of the platform: `Math.max`, `Array.prototype.map`, `fs.readFile`, the module `fs` itself. */
export function builtinPath(value: unknown): BuiltinPath | undefined {
  const loaded = (process as unknown as { moduleLoadList: string[] }).moduleLoadList;
  if (loaded.length !== knownModules) {
    knownModules = loaded.length;
    addOwners(new Set(loaded));
    members.clear();
  }
  const owner = owners.get(value);
  if (owner || typeof value !== 'function') return owner;
  if (members.size === 0) for (const [object, path] of owners) addMembers(object, path, 2);
  return members.get(value);
}

/** Global objects before modules: the shortest way wins. A value of a module that is not loaded cannot exist. */
function addOwners(loaded: ReadonlySet<string>): void {
  addOwner(globalThis, { module: GLOBAL, path: [] });
  for (const [name, value] of dataProperties(globalThis)) {
    if (isPlatformGlobal(name)) addOwner(value, { module: GLOBAL, path: [name] });
  }
  for (const name of builtinModules) {
    if (name.startsWith('_') || AVOIDED.has(name) || !loaded.has(`NativeModule ${name}`)) continue;
    addOwner(require(`node:${name}`), { module: `node:${name}`, path: ['default'] });
  }
}

/** Programs may add globals of their own, which a child does not have; those are enumerable, as few of the platform's. */
function isPlatformGlobal(name: string): boolean {
  return ENUMERABLE_GLOBALS.has(name) || !Object.prototype.propertyIsEnumerable.call(globalThis, name);
}

function addMembers(object: unknown, at: BuiltinPath, depth: number): void {
  if (object === globalThis) return;
  for (const [name, value] of dataProperties(object)) {
    if (!isReference(value) || members.has(value) || owners.has(value)) continue;
    const path = { module: at.module, path: [...at.path, name] };
    if (typeof value === 'function') members.set(value, path);
    if (depth > 1 && isOpen(value, name)) addMembers(value, path, depth - 1);
  }
}

/** Places whose members are worth a visit: classes' prototypes and statics, and plain collections of functions. */
function isOpen(value: unknown, name: string): boolean {
  return typeof value === 'function' || name === 'prototype' || name === 'promises' || name === 'posix';
}

function addOwner(value: unknown, path: BuiltinPath): void {
  if (isReference(value) && !owners.has(value)) owners.set(value, path);
}

function isReference(value: unknown): value is object {
  return typeof value === 'function' || (typeof value === 'object' && value !== null);
}

/** Own properties that hold a value: a getter would load what nobody asked for. */
function dataProperties(owner: unknown): [string, unknown][] {
  if (!isReference(owner)) return [];
  return Object.getOwnPropertyNames(owner).flatMap(name => {
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    return descriptor && 'value' in descriptor ? [[name, descriptor.value] as [string, unknown]] : [];
  });
}
