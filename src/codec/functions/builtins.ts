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

const index = new Map<unknown, BuiltinPath>();
let indexedModules = -1;

/** Finds a function or object of the platform: `Math.max`, `Array.prototype.map`, `fs.readFile`, the module `fs` itself. */
export function builtinPath(value: unknown): BuiltinPath | undefined {
  const known = index.get(value);
  if (known) return known;
  const loaded = loadedBuiltins();
  if (loaded.length === indexedModules) return undefined;
  indexedModules = loaded.length;
  indexAll(loaded);
  return index.get(value);
}

/** Builtin modules the process has loaded: a value of one that is not loaded cannot exist. */
function loadedBuiltins(): string[] {
  const loaded = new Set((process as unknown as { moduleLoadList: string[] }).moduleLoadList);
  return builtinModules.filter(
    name => !name.startsWith('_') && !AVOIDED.has(name) && loaded.has(`NativeModule ${name}`),
  );
}

function indexAll(modules: readonly string[]): void {
  // Globals before modules, and owners before members: the shortest way wins.
  add(globalThis, { module: GLOBAL, path: [] });
  const roots: [unknown, BuiltinPath][] = [];
  for (const [name, value] of dataProperties(globalThis)) {
    if (isPlatformGlobal(name)) roots.push([value, { module: GLOBAL, path: [name] }]);
  }
  for (const name of modules) {
    roots.push([require(`node:${name}`), { module: `node:${name}`, path: ['default'] }]);
  }
  for (const [value, path] of roots) add(value, path);
  for (const [value, path] of roots) if (index.get(value) === path) addMembers(value, path, 2);
}

/** Programs may add globals of their own, which a child does not have; those are enumerable, as few of the platform's. */
function isPlatformGlobal(name: string): boolean {
  return ENUMERABLE_GLOBALS.has(name) || !Object.prototype.propertyIsEnumerable.call(globalThis, name);
}

function addMembers(owner: unknown, at: BuiltinPath, depth: number): void {
  for (const [name, value] of dataProperties(owner)) {
    const path = { module: at.module, path: [...at.path, name] };
    if (index.has(value)) continue;
    if (typeof value === 'function') add(value, path);
    if (depth > 1 && isOpen(value, name)) addMembers(value, path, depth - 1);
  }
}

/** Places whose members are worth a visit: classes' prototypes and statics, and plain collections of functions. */
function isOpen(value: unknown, name: string): boolean {
  return typeof value === 'function' || name === 'prototype' || name === 'promises' || name === 'posix';
}

function add(value: unknown, path: BuiltinPath): void {
  if (isReference(value) && !index.has(value)) index.set(value, path);
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
