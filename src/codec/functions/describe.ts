import Module from 'node:module';
import { isProxy } from 'node:util/types';
import { SerializationError } from '../../errors/errors';
import { definitions, importers, importMetas } from './definitions';
import type {
  AnyFunction,
  Capture,
  FunctionDescription,
  Reference,
  Source,
  SourceShell,
} from './description';
import { type Inspection, inspect, type ScopeLevel, type Script } from './inspect';
import { layOut, type Position } from './layout';
import type { ImportBinding, ModuleSyntax } from './module-syntax';
import { commonJsFile, isEntry, moduleCache } from './modules';
import { type Analysis, placed, remember } from './places';
import { type ComputedMember, type Prepared, prepare } from './prepare';
import {
  builtinReference,
  exportReference,
  isExported,
  moduleReference,
  readQuietly,
  startOf,
} from './references';
import { resolveImport } from './resolve';
import { syntaxOf } from './scripts';
import { fits, namesOf } from './shells';
import { originalPositions } from './source-maps';

/** How the text of a function without any ends. */
const NATIVE = '{ [native code] }';
/** For each script, by its id, the scopes around all that stands in it. */
export type Neighbours = Map<string, readonly ScopeLevel[]>;

const NONE: readonly ScopeLevel[] = [];
const analyses = new WeakMap<AnyFunction, Reference | Analysis>();

/**
 * Says how another process or thread gets this function or class: where to import it from, or its source and the
 * variables it captures, with the values they have now.
 *
 * What can be imported is: exports (and their members) of modules other than the entry module, and functions of Node.
 * @throws {SerializationError} It cannot be had elsewhere: native or bound, a proxy, bound to a `this` or to private
 *   names of its surroundings, or one of its variables has no value yet. `path` starts at the function.
 *
 * `neighbours`: the same object for all functions of a message, which need their module's variables read only once.
 */
export function describeFunction(fn: AnyFunction, neighbours?: Neighbours): FunctionDescription {
  const definition = definitions.get(fn);
  if (definition) {
    const captures = definition.captures();
    const { shell } = definition;
    return {
      kind: 'source',
      shell: fits(shell, captures) ? shell : { ...shell, captures: namesOf(captures) },
      captures,
    };
  }
  const known = analyses.get(fn);
  if (known?.kind === 'reference') return known;
  if (known) return withCaptures(fn, known, scopesOf(fn, known, neighbours));
  const { analysis, scopes } = analyze(fn);
  analyses.set(fn, analysis);
  if (analysis.kind === 'reference') return analysis;
  if (neighbours) noteModule(neighbours, analysis, scopes);
  return withCaptures(fn, analysis, scopes);
}

/** A function's scopes as they are now, in as far as it has variables in them. */
function scopesOf(fn: AnyFunction, analysis: Analysis, neighbours?: Neighbours): readonly ScopeLevel[] {
  if (analysis.names.length === 0) return NONE;
  const { topLevel, scriptId } = analysis;
  const near = topLevel === undefined ? undefined : neighbours?.get(scriptId);
  // It is the function that this very module has declared, which is nowhere but in the module's own scope.
  if (topLevel !== undefined && near?.[0] && readQuietly(near[0].variables, topLevel) === fn) return near;
  const { scopes } = inspect(fn);
  if (neighbours) noteModule(neighbours, analysis, scopes);
  return scopes;
}

/** Keeps what is around everything in the script: the scope of the module, and those outside of it. */
function noteModule(neighbours: Neighbours, { scriptId }: Analysis, scopes: readonly ScopeLevel[]): void {
  if (neighbours.has(scriptId)) return;
  const outermost = scopes.findLastIndex(({ type }) => type === 'Module' || type === 'Local');
  if (outermost >= 0) neighbours.set(scriptId, scopes.slice(outermost));
}

function analyze(fn: AnyFunction): { analysis: Reference | Analysis; scopes: readonly ScopeLevel[] } {
  if (isProxy(fn)) throw refuse(fn, 'it is a proxy', 'pass a plain function instead');
  const source = Function.prototype.toString.call(fn);
  const reference = source.endsWith(NATIVE) ? builtinReference(fn) : undefined;
  if (reference) return { analysis: reference, scopes: NONE };
  const inspection = inspect(fn);
  if (inspection.bound) throw refuse(fn, 'it is bound', 'pass an arrow function instead');
  const { location } = inspection;
  const known = location && placed(location);
  if (known && isAnother(known, fn, inspection, source)) {
    return { analysis: known, scopes: known.names.length === 0 ? NONE : inspection.scopes };
  }
  // Whatever else is inspected for it comes after.
  const { scopes } = inspection;
  if (!location) return { analysis: analyzeSource(fn, inspection, source), scopes };
  const analysis =
    (location.script.url.startsWith('node:')
      ? builtinReference(fn)
      : exportReference(fn, inspection, source)) ?? analyzeSource(fn, inspection, source);
  if (analysis.kind === 'source' && analysis.isOfPlace) remember(location, analysis);
  return { analysis, scopes };
}

/** Whether what is known of another function of the place is true of this one. */
function isAnother(known: Analysis, fn: AnyFunction, inspection: Inspection, source: string): boolean {
  const { shell, free, imports, names, isClosed } = known;
  if (shell.source !== source || shell.name !== nameOf(fn)) return false;
  if (!isClosed) {
    // A direct eval may have added variables to a scope; those of scripts may have come since.
    let held = 0;
    for (const name of free) if (imports.has(name) || holder(inspection.scopes, name)) held++;
    if (held !== names.length) return false;
  }
  return !isExported(fn, inspection);
}

function analyzeSource(fn: AnyFunction, { location, scopes }: Inspection, source: string): Analysis {
  if (!location || location.script.url.startsWith('node:')) {
    throw refuse(fn, 'it is native code', 'call it from a function of your own');
  }
  const { script } = location;
  const syntax = syntaxOf(script);
  const start = startOf(location, syntax, source) ?? -1;
  const end = start + source.length;
  const strict = script.isModule || (start >= 0 ? syntax.strictAt(start, end) : !Object.hasOwn(fn, 'caller'));
  const prepared = parse(fn, source, strict, script.isModule);
  check(fn, prepared);
  const declared = prepared.form === 'expression' && start >= 0 ? syntax.declaredAt(start, end) : undefined;
  const callsItself = declared !== undefined && mentions(source, prepared, declared);
  const free = callsItself ? [...prepared.free.names, declared] : prepared.free.names;
  const imports = importsAmong(free, script, syntax);
  const names = free.filter(name => imports.has(name) || holder(scopes, name));
  const original = start >= 0 ? originalPositions(script, syntax) : undefined;
  const written = original?.(start, false);
  const layout =
    written && layOut(source, prepared.tokens, written, offset => original?.(start + offset, true));
  const {
    earlyKey,
    members = [],
    meta,
    importer,
    code,
    late,
  } = prepared.compiled(new Set(names), layout ?? []);
  const lost = members.find(member => keyOf(fn, member) === undefined);
  const unnamed = earlyKey ?? lost?.text;
  if (unnamed !== undefined) {
    const state = `the name of its member [${unnamed}] is computed from a variable`;
    throw refuse(fn, state, 'give it a plain name');
  }
  const { line, column } = written ?? placeOf(script, syntax, start);
  return {
    kind: 'source',
    shell: {
      source,
      form: declared === undefined ? prepared.form : 'declaration',
      ...(declared !== undefined && { declared }),
      ...(code !== undefined && { code }),
      url: displayUrl(script),
      line,
      column,
      strict,
      name: nameOf(fn),
      ...(late && { late }),
      captures: [],
    },
    meta,
    importer,
    members,
    free,
    names,
    imports,
    resolved: new Map(),
    initialised: new Set(names.filter(name => start >= 0 && neverUndefined(syntax, name, start, end))),
    references: prepared.free.references,
    scriptUrl: script.url,
    scriptId: script.id,
    topLevel: prepared.form === 'expression' && start >= 0 ? syntax.topLevelName(start, end) : undefined,
    // Its text was found where it stands, and tells the names of its members.
    isOfPlace: start >= 0 && members.length === 0,
    isClosed:
      free.length === 0 ||
      (script.isModule && free.every(name => !names.includes(name) && name in globalThis)),
  };
}

/** Whether a function says its own name, but for where it is declared. */
function mentions(source: string, { tokens }: Prepared, declared: string): boolean {
  return tokens.filter(({ start, end }) => source.slice(start, end) === declared).length > 1;
}

function importsAmong(
  free: readonly string[],
  script: Script,
  syntax: ModuleSyntax,
): Map<string, ImportBinding> {
  const imports = new Map<string, ImportBinding>();
  for (const name of script.isModule ? free : []) {
    const binding = syntax.imports.get(name);
    if (binding) imports.set(name, binding);
  }
  return imports;
}

/** Where a script's text at `start` stands in the file it came from. */
function placeOf(script: Script, syntax: ModuleSyntax, start: number): Position {
  const { line, column } = start >= 0 ? syntax.position(start) : { line: 0, column: 0 };
  return { line: line + script.startLine, column: line === 0 ? column + script.startColumn : column };
}

function parse(fn: AnyFunction, source: string, strict: boolean, isModule: boolean): Prepared {
  try {
    return prepare(source, strict, isModule);
  } catch (cause) {
    throw refuse(
      fn,
      `its source cannot be parsed (${(cause as Error).message})`,
      'move it to a module',
      cause,
    );
  }
}

function check(fn: AnyFunction, { free, usesSuper }: Prepared): void {
  const { receiver, privateName } = free;
  if (receiver !== undefined) {
    const remedy =
      receiver === 'arguments'
        ? 'take rest parameters (...args) instead'
        : `copy what it needs from ${receiver} into a variable first${receiver === 'this' ? ', or make it a method' : ''}`;
    throw refuse(fn, `it captures '${receiver}' of the function around it`, remedy, undefined, receiver);
  }
  if (usesSuper) {
    throw refuse(
      fn,
      `it uses 'super' of the class or object it belongs to`,
      'pass the class',
      undefined,
      'super',
    );
  }
  if (privateName !== undefined) {
    const remedy = 'pass the class, or make the member public';
    throw refuse(
      fn,
      `it uses ${privateName}, private to the class around it`,
      remedy,
      undefined,
      privateName,
    );
  }
}

/** Adds to an analysis the variables' values as they are now. */
function withCaptures(fn: AnyFunction, analysis: Analysis, scopes: readonly ScopeLevel[]): Source {
  const captures: Capture[] = [];
  let requires: string[] | undefined;
  let { meta, importer } = analysis;
  for (const name of analysis.names) {
    const level = holder(scopes, name);
    const imported = importCapture(analysis, name, level);
    if (imported) {
      captures.push(imported);
      continue;
    }
    const value = read(fn, analysis, name, level);
    if (isRequire(value)) {
      requires ??= [];
      requires.push(name);
    } else if (typeof value === 'object' && value !== null && importMetas.has(value)) meta = name;
    else if (typeof value === 'function' && importers.has(value)) importer = name;
    else if (value !== fn || name !== analysis.shell.declared) {
      captures.push(capture(fn, analysis, name, value));
    }
  }
  const heritage = analysis.shell.late?.heritage;
  if (heritage !== undefined) captures.push({ name: heritage, value: baseOf(fn) });
  for (const member of analysis.members) captures.push({ name: member.variable, value: keyOf(fn, member) });
  return { kind: 'source', shell: shellWith(analysis, captures, meta, importer, requires), captures };
}

/** The analysis's shell, brought up to date: variables may have come to hold other kinds of things. */
function shellWith(
  analysis: Analysis,
  captures: readonly Capture[],
  meta: string | undefined,
  importer: string | undefined,
  requires: readonly string[] | undefined,
): SourceShell {
  const last = analysis.shell;
  const isSame =
    last.meta === meta &&
    last.importer === importer &&
    (last.requires === requires || last.requires?.join() === requires?.join()) &&
    fits(last, captures);
  if (isSame) return last;
  const { meta: _, importer: _2, requires: _3, ...rest } = last;
  analysis.shell = {
    ...rest,
    ...(meta && { meta }),
    ...(importer && { importer }),
    ...(requires && { requires }),
    captures: namesOf(captures),
  };
  return analysis.shell;
}

function importCapture(
  { imports, resolved, scriptUrl }: Analysis,
  name: string,
  level: ScopeLevel | undefined,
): Capture | undefined {
  const binding = imports.size > 0 && (!level || level.type === 'Module') ? imports.get(name) : undefined;
  if (!binding) return undefined;
  // What the import means was settled when the module was linked.
  let found = resolved.get(name);
  if (found === undefined) {
    const module = resolveImport(binding.specifier, scriptUrl);
    // The entry module is never run again in a child: what others import from it crosses by value.
    found = isEntry(module) ? null : { name, module, export: binding.name };
    resolved.set(name, found);
  }
  return found ?? undefined;
}

function capture(fn: AnyFunction, analysis: Analysis, name: string, value: unknown): Capture {
  if (value instanceof Module) {
    throw refuse(fn, `it uses '${name}' of its CommonJS module`, 'use what it needs of it', undefined, name);
  }
  const whole = moduleReference(value);
  if (whole) return { name, ...whole };
  return { name, value: isOwnExports(analysis, value) ? usedExports(fn, analysis, name, value) : value };
}

/** Only the entry module's come here: other modules' exports cross as an import. */
function isOwnExports({ scriptUrl }: Analysis, value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false;
  const file = commonJsFile(scriptUrl);
  return file !== undefined && moduleCache[file]?.exports === value;
}

/** Compilers make `exports.limit` of an exported `limit`: of the whole object, only what is used so crosses. */
function usedExports(
  fn: AnyFunction,
  { references, shell }: Analysis,
  name: string,
  exports: Record<string, unknown>,
): Record<string, unknown> {
  const members = references.filter(reference => reference.name === name).map(({ member }) => member);
  if (members.some(member => member === undefined)) {
    const remedy = `use ${name}.member, or a variable of its own`;
    throw refuse(fn, `it uses the whole of '${name}' of ${shell.url}`, remedy, undefined, name);
  }
  return Object.fromEntries(members.map(member => [member, exports[member as string]]));
}

/** What a derived class extends. */
function baseOf(fn: AnyFunction): unknown {
  return Object.getPrototypeOf(fn.prototype) === null ? null : Object.getPrototypeOf(fn);
}

/** The name a computed class member has got. */
function keyOf(fn: AnyFunction, { text, isStatic }: ComputedMember): PropertyKey | undefined {
  const owner: object = isStatic ? fn : fn.prototype;
  return Reflect.ownKeys(owner).find(key => {
    const { value, get, set } = Object.getOwnPropertyDescriptor(owner, key) ?? {};
    return [value, get, set].some(
      member => typeof member === 'function' && Function.prototype.toString.call(member) === text,
    );
  });
}

/** A captured variable's value. */
function read(fn: AnyFunction, analysis: Analysis, name: string, level: ScopeLevel | undefined): unknown {
  let value: unknown;
  let isDead = false;
  try {
    value = (level?.variables as Record<string, unknown> | undefined)?.[name];
    isDead = value === undefined && level?.type !== 'Global' && analysis.initialised.has(name);
  } catch {
    isDead = true; // Node 22 and later
  }
  if (!isDead) return value;
  throw refuse(
    fn,
    `its variable ${name} has no value yet`,
    `pass it after ${name} is initialised`,
    undefined,
    name,
  );
}

/** On Node 20 a variable in its dead zone reads as undefined: told apart where its initialiser cannot give that. */
function neverUndefined(syntax: ModuleSyntax, name: string, start: number, end: number): boolean {
  const node = syntax.initialiser(name, start, end);
  return (
    node !== undefined && /^(Class|Function|ArrowFunction|Object|Array|New|Template|Literal)/.test(node.type)
  );
}

/** The innermost scope that has the variable; the global scope does not count. */
function holder(scopes: readonly ScopeLevel[], name: string): ScopeLevel | undefined {
  for (const level of scopes) if (level.type !== 'Global' && name in level.variables) return level;
  return undefined;
}

/** CommonJS's `require`, and what `createRequire` makes: told by the cache they share. */
function isRequire(value: unknown): boolean {
  return typeof value === 'function' && (value as { cache?: unknown }).cache === moduleCache;
}

/** What stack traces show: a URL for an ES module, a path for CommonJS. */
function displayUrl({ url, isModule }: Script): string {
  return isModule ? url : (commonJsFile(url) ?? url);
}

function nameOf({ name }: AnyFunction): string {
  return typeof name === 'string' ? name : '';
}

function refuse(
  fn: AnyFunction,
  state: string,
  remedy: string,
  cause?: unknown,
  culprit?: string,
): SerializationError {
  const name = nameOf(fn) || 'anonymous function';
  return new SerializationError(`Cannot send ${name} as ${state}: ${remedy}`, {
    path: culprit === undefined ? name : `closure of ${name} → ${culprit}`,
    ...(cause !== undefined && { cause }),
  });
}
