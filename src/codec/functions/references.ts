import { pathToFileURL } from 'node:url';
import { isModuleNamespaceObject } from 'node:util/types';
import { builtinPath, GLOBAL } from './builtins';
import type { AnyFunction, Reference } from './description';
import { type Inspection, inspect, type Location, type Script } from './inspect';
import type { ModuleSyntax } from './module-syntax';
import { commonJsFile, isEntry, moduleCache } from './modules';
import { syntaxOf } from './scripts';
import type { Node } from './syntax';

/** Where a module's export is to be had; `'*'` is the whole namespace. */
export interface ModuleReference {
  readonly module: string;
  readonly export: string;
}

/** The way to a function of the platform, if it has one. */
export function builtinReference(fn: AnyFunction): Reference | undefined {
  const found = builtinPath(fn);
  return found && { kind: 'reference', ...found };
}

/** The way to a function by importing the module it was written in, if that exports it. */
export function exportReference(
  fn: AnyFunction,
  { location, scopes }: Inspection,
  source: string,
): Reference | undefined {
  if (!location) return undefined;
  const { script } = location;
  if (!script.url.startsWith('file:') || isEntry(script.url)) return undefined;
  const path = script.isModule
    ? (pathByValue(fn, script, scopes) ?? pathByPosition(location, scopes, source))
    : pathInCommonJs(fn, script.url);
  return path && { kind: 'reference', module: script.url, path };
}

/** Functions that are to be had as exports, by the values that those had then. */
interface Exports {
  readonly values: readonly unknown[];
  readonly functions: WeakSet<AnyFunction>;
}

const exportsOf = new WeakMap<Script, Exports>();
const files = new WeakMap<Script, { readonly file: string | undefined }>();

/**
 * Whether exportReference() would find a function by value, told without looking through all exports each time: what
 * they have been given since the first time counts where it is an export itself, not where it is a member of one. (A
 * module that is imported anew has none of these.)
 */
export function isExported(fn: AnyFunction, inspection: Inspection): boolean {
  const script = inspection.location?.script;
  if (!script?.url.startsWith('file:') || isEntry(script.url)) return false;
  const values = script.isModule ? exportedVariables(script, inspection.scopes) : exportedMembers(script);
  if (!values) return false;
  let known = exportsOf.get(script);
  if (!known || !isSame(known.values, values)) {
    known = { values, functions: new WeakSet() };
    const found = known.functions;
    for (const value of values) collectFunctions(value, 1, found);
    exportsOf.set(script, known);
  }
  return known.functions.has(fn);
}

function exportedVariables(script: Script, scopes: Inspection['scopes']): unknown[] | undefined {
  const variables = scopes.find(({ type }) => type === 'Module')?.variables;
  if (!variables) return undefined;
  const { exports, imports } = syntaxOf(script);
  const values: unknown[] = [];
  for (const { local } of exports) {
    if (local !== undefined && !imports.has(local)) {
      values.push(readQuietly(variables, local));
    }
  }
  return values;
}

/** What a CommonJS module exports, and that itself. */
function exportedMembers(script: Script): unknown[] | undefined {
  let known = files.get(script);
  if (!known) {
    known = { file: commonJsFile(script.url) };
    files.set(script, known);
  }
  const exports: unknown = known.file === undefined ? undefined : moduleCache[known.file]?.exports;
  if (exports === undefined || isModuleNamespaceObject(exports)) return undefined;
  const values = membersOf(exports, isCompiled(exports)).map(([, value]) => value);
  values.push(exports);
  return values;
}

function isSame(before: readonly unknown[], now: readonly unknown[]): boolean {
  if (before.length !== now.length) return false;
  for (let i = 0; i < now.length; i++) if (!Object.is(before[i], now[i])) return false;
  return true;
}

/** Those that pathTo() finds. */
function collectFunctions(owner: unknown, depth: number, found: WeakSet<AnyFunction>): void {
  if (typeof owner === 'function') found.add(owner as AnyFunction);
  if (depth === 0) return;
  for (const [name, value] of membersOf(owner, false)) {
    const isPrototype = name === 'prototype' && typeof owner === 'function' && typeof value === 'object';
    collectFunctions(value, isPrototype ? 1 : depth - 1, found);
  }
}

/**
 * The module a value is all of: a namespace object, a builtin module, the exports of a CommonJS module, or what
 * compilers make of those for `import` in CommonJS. Such a value crosses as an import, not as a copy.
 */
export function moduleReference(value: unknown): ModuleReference | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  if (isModuleNamespaceObject(value)) return namespaceReference(value as Record<string, unknown>);
  return builtinObject(value) ?? commonJsExports(value) ?? interopWrapper(value);
}

function builtinObject(value: object): ModuleReference | undefined {
  const found = builtinPath(value);
  if (!found) return undefined;
  const [first, second] = found.path;
  if (found.module === GLOBAL) return { module: GLOBAL, export: first ?? '*' };
  return { module: found.module, export: second ?? first ?? '*' };
}

function commonJsExports(value: object): ModuleReference | undefined {
  for (const module of Object.values(moduleCache)) {
    if (module?.exports !== value) continue;
    const url = urlOf(module.filename);
    return isEntry(url) ? undefined : { module: url, export: 'default' };
  }
  return undefined;
}

/**
 * `import x from` and `import * as x from` a CommonJS module, compiled to CommonJS: an object of getters onto the
 * module's exports, or with those as `default` (tsc's `__importDefault` and `__importStar`, esbuild's `__toESM`).
 */
function interopWrapper(value: object): ModuleReference | undefined {
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return undefined; // millions of names, maybe
  const names: string[] = [];
  for (const name of Object.getOwnPropertyNames(value)) {
    if (name === '__esModule') continue;
    if (name !== 'default' && !Object.getOwnPropertyDescriptor(value, name)?.get) return undefined;
    names.push(name);
  }
  const wrapped = value as Record<string, unknown>;
  const { default: whole } = wrapped;
  if (typeof whole === 'object' && whole !== null && !isModuleNamespaceObject(whole)) {
    const found = builtinObject(whole) ?? commonJsExports(whole);
    // Names will do: reading values would set off warnings that Node attaches to some.
    if (found?.export === 'default' && names.every(name => name === 'default' || name in whole)) {
      return { module: found.module, export: '*' };
    }
  }
  if (names.length === 0) return undefined;
  for (const module of Object.values(moduleCache)) {
    const exports: unknown = module?.exports;
    if (!module || typeof exports !== 'object' || exports === null) continue;
    if (Object.keys(exports).length !== names.length || !names.every(name => name in exports)) continue;
    if (!names.every(name => matches(wrapped, exports, name))) continue;
    const url = urlOf(module.filename);
    if (!isEntry(url)) return { module: url, export: 'default' };
  }
  return undefined;
}

function matches(wrapped: Record<string, unknown>, exports: unknown, name: string): boolean {
  return Object.is(wrapped[name], (exports as Record<string, unknown>)[name]);
}

/** Known by a function it exports: the script of that, if the same names come from it. */
function namespaceReference(namespace: Record<string, unknown>): ModuleReference | undefined {
  const names = Object.keys(namespace);
  for (const name of names) {
    const value = namespace[name];
    if (typeof value !== 'function') continue;
    const builtin = builtinPath(value);
    if (builtin?.module.startsWith('node:')) return { module: builtin.module, export: '*' };
    const { location } = inspect(value);
    if (!location?.script.isModule || isEntry(location.script.url)) continue;
    const exported = new Set(syntaxOf(location.script).exports.map(({ name }) => name));
    if (names.every(name => exported.has(name))) return { module: location.script.url, export: '*' };
  }
  return undefined;
}

function pathInCommonJs(fn: AnyFunction, url: string): string[] | undefined {
  const file = commonJsFile(url);
  const module = file === undefined ? undefined : moduleCache[file];
  if (!module || isModuleNamespaceObject(module.exports)) return undefined;
  const path = pathTo(fn, module.exports, isCompiled(module.exports), 2);
  return path && ['default', ...path];
}

/** Compilers turn `export` into getters; in code written by hand, calling a getter is not ours to do. */
function isCompiled(exports: unknown): boolean {
  return typeof exports === 'object' && exports !== null && '__esModule' in exports;
}

/** Among the members of an object, and of theirs, `depth` levels deep; a class's prototype is no level of its own. */
function pathTo(fn: AnyFunction, owner: unknown, callGetters: boolean, depth: number): string[] | undefined {
  if (owner === fn) return [];
  if (depth === 0 || owner === null || (typeof owner !== 'object' && typeof owner !== 'function'))
    return undefined;
  const members = membersOf(owner, callGetters);
  for (const [name, value] of members) if (value === fn) return [name];
  for (const [name, value] of members) {
    const path = pathTo(
      fn,
      value,
      false,
      name === 'prototype' && typeof owner === 'function' ? 1 : depth - 1,
    );
    if (path) return [name, ...path];
  }
  return undefined;
}

/** Own properties, without the way back from a prototype. */
function membersOf(owner: unknown, callGetters: boolean): [string, unknown][] {
  if (owner === null || (typeof owner !== 'object' && typeof owner !== 'function')) return [];
  const members: [string, unknown][] = [];
  for (const name of Object.getOwnPropertyNames(owner)) {
    const descriptor = Object.getOwnPropertyDescriptor(owner, name);
    if (!descriptor || name === 'constructor') continue;
    if ('value' in descriptor) members.push([name, descriptor.value]);
    else if (callGetters) members.push([name, (owner as Record<string, unknown>)[name]]);
  }
  return members;
}

/** By the values the module's variables have now. */
function pathByValue(fn: AnyFunction, script: Script, scopes: Inspection['scopes']): string[] | undefined {
  const variables = scopes.find(({ type }) => type === 'Module')?.variables;
  if (!variables) return undefined;
  const { exports, imports } = syntaxOf(script);
  const candidates: [string, unknown][] = [];
  for (const { name, local } of exports) {
    if (local === undefined || imports.has(local)) continue;
    const value = readQuietly(variables, local);
    if (value === fn) return [name];
    candidates.push([name, value]);
  }
  for (const [name, value] of candidates) {
    const path = pathTo(fn, value, false, 1);
    if (path) return [name, ...path];
  }
  return undefined;
}

/** By where it stands: what V8 keeps no variable for, as `export default () => …` or a constant nobody captures. */
function pathByPosition(
  location: Location,
  scopes: Inspection['scopes'],
  source: string,
): string[] | undefined {
  // Made within another function, the same text may exist many times.
  if (scopes.some(({ type }) => type === 'Local')) return undefined;
  const syntax = syntaxOf(location.script);
  const start = startOf(location, syntax, source);
  if (start === undefined) return undefined;
  const end = start + source.length;
  for (const { name, local, node } of syntax.exports) {
    const value: Node | undefined =
      node?.type === 'Identifier' && local ? syntax.initialiser(local, start, end) : node;
    if (!value) continue;
    if (value.start === start && value.end === end) return [name];
    if (value.type !== 'ObjectExpression') continue;
    const { properties } = value as unknown as { properties: ObjectMember[] };
    for (const property of properties) {
      const isHere = [property, property.value].some(node => node?.start === start && node.end === end);
      if (!isHere || property.computed || (property.kind !== undefined && property.kind !== 'init')) continue;
      return [name, property.key?.name ?? String(property.key?.value)];
    }
  }
  return undefined;
}

interface ObjectMember {
  readonly start: number;
  readonly end: number;
  readonly computed?: boolean;
  readonly kind?: string;
  readonly key?: { readonly name?: string; readonly value?: unknown };
  readonly value?: { readonly start: number; readonly end: number };
}

/** Where a function's text starts in its script; undefined where V8's position does not lie in such a text. */
export function startOf(
  { script, line, column }: Location,
  syntax: ModuleSyntax,
  source: string,
): number | undefined {
  const row = line - script.startLine;
  const offset = syntax.offset(row, row === 0 ? column - script.startColumn : column);
  const start = syntax.text.lastIndexOf(source, offset);
  return start >= 0 && start + source.length >= offset ? start : undefined;
}

/** A variable's value, undefined if it has none. */
export function readQuietly(variables: object, name: string): unknown {
  try {
    return (variables as Record<string, unknown>)[name];
  } catch {
    return undefined; // in its dead zone
  }
}

function urlOf(file: string): string {
  return pathToFileURL(file).href;
}
