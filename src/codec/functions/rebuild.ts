import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import vm from 'node:vm';
import { definitions, importers, importMetas } from './definitions';
import type { Capture, SourceShell } from './description';
import { loadModule } from './modules';
import { resolveImport } from './resolve';

type Callable = (...args: unknown[]) => unknown;
type Late = () => void;

/** What the compiled wrapper hands out. */
interface Parts {
  readonly made: unknown;
  readonly set: (values: readonly unknown[]) => void;
  readonly get: () => unknown[];
  readonly heritage?: () => unknown;
  readonly keys?: () => PropertyKey[];
}

/** Each call makes another function of the source, with variables of its own. */
type Maker = (...values: unknown[]) => Parts;

/** Sources that are compiled. */
const makers = new WeakMap<SourceShell, Maker>();

export interface Rebuilt {
  readonly fn: Callable;
  /** Gives the captured variables their values, in the order of `captures`; call it once, and before `fn`. */
  fill(values: readonly unknown[]): void;
}

/** Functions whose captured variables have no values yet, and what waits for them to have. */
const unfilled = new WeakMap<object, Late[]>();

/**
 * Makes a function of its source, which is compiled once for each shell object. Stack traces through it show the script,
 * line and column it came from.
 *
 * It can be referred to at once (by its own captured values, say), but called only after `fill`. `fill` completes a
 * class too: its base class, computed member names and static initialisers. Those run code, so where they need a
 * function that has not been filled itself they wait for it; properties given to the class meanwhile stay as given.
 * Describing the function again gives its source with the current values of its variables.
 */
export function rebuildFunction(shell: SourceShell): Rebuilt {
  const steps: Late[] = [];
  const placeholders = (shell.late?.keys ?? []).map(({ variable }) => Symbol(variable));
  const parts = compile(shell, steps, placeholders);
  const fn = unwrap(parts.made, shell);
  restoreName(fn, shell.name);
  let filled: readonly unknown[] = [];
  definitions.set(fn, {
    shell,
    captures: () => {
      const now = parts.get();
      return shell.captures.map((capture, i) => captureNow(capture, now[i], filled[i]));
    },
  });
  const complete = () => {
    if (parts.keys) renameMembers(fn, placeholders, parts.keys());
    for (const step of steps) step();
  };
  unfilled.set(fn, []);
  return {
    fn,
    fill(values) {
      filled = [...values];
      parts.set(values);
      if (parts.heritage) inherit(fn, parts.heritage());
      const waiting = unfilled.get(fn) ?? [];
      unfilled.delete(fn);
      if (shell.late) whenFilled(values, complete, fn);
      for (const waiter of waiting) waiter();
    },
  };
}

/** Runs `complete` as soon as every function among `values` has its captured variables. */
function whenFilled(values: readonly unknown[], complete: Late, owner: Callable): void {
  const missing = () => values.map(value => unfilled.get(value as object)).find(waiters => waiters);
  const retry = () => {
    const waiters = missing();
    if (waiters) waiters.push(retry);
    else keeping(owner, complete);
  };
  const waiters = missing();
  if (waiters) waiters.push(retry);
  else complete();
}

/** Runs `action`, then gives the object's data properties back the values they had, if any. */
function keeping(owner: Callable, action: Late): void {
  const before = Object.entries(Object.getOwnPropertyDescriptors(owner));
  action();
  for (const [key, descriptor] of before) {
    if (descriptor.writable && descriptor.configurable && descriptor.value !== undefined)
      Object.defineProperty(owner, key, descriptor);
  }
}

function compile(shell: SourceShell, late: Late[], placeholders: readonly symbol[]): Parts {
  const { captures, meta, importer, requires = [], late: steps } = shell;
  const ambient = new Map<string, unknown>();
  if (meta) ambient.set(meta, importMeta(shell.url));
  if (importer) ambient.set(importer, dynamicImport(shell.url));
  for (const name of requires) ambient.set(name, createRequire(baseOf(shell.url)));
  if (steps) ambient.set(steps.register, (step: Late) => late.push(step));
  steps?.keys.forEach(({ placeholder }, i) => {
    ambient.set(placeholder, placeholders[i]);
  });
  const names = captures.map(({ name }) => name);
  let make = makers.get(shell);
  if (!make) {
    const { before, after } = wrapper(shell, names, [...ambient.keys()]);
    const script = new vm.Script(before + (shell.code ?? shell.source) + after, {
      filename: shell.url,
      lineOffset: shell.line,
      columnOffset: shell.column - before.length,
    });
    make = script.runInThisContext() as Maker;
    makers.set(shell, make);
  }
  return make(...names.map(() => undefined), ...ambient.values());
}

/** The captured variables are parameters of a function around the source: any name will do, and each can be assigned. */
function wrapper(shell: SourceShell, captures: readonly string[], ambient: readonly string[]) {
  const taken = new Set([...captures, ...ambient, shell.declared]);
  let values = 'values';
  while (taken.has(values)) values += '$';
  const { form, strict, late } = shell;
  const list = captures.join(',');
  const parts = [
    `set:${values}=>{${captures.length > 0 ? `[${list}]=${values}` : ''}}`,
    `get:()=>[${list}]`,
    late?.heritage && `heritage:()=>${late.heritage}`,
    late && late.keys.length > 0 && `keys:()=>[${late.keys.map(({ variable }) => variable).join(',')}]`,
  ].filter(Boolean);
  const open = `(function(${[...captures, ...ambient].join(',')}){${strict ? '"use strict";' : ''}`;
  const isMember = form === 'method' || form === 'getter' || form === 'setter';
  if (form === 'declaration') {
    // Its name is a variable of the scope around it: taken before set() may give it another value.
    return { before: open, after: `\n;return{made:${shell.declared},${parts.join(',')}}})` };
  }
  const [left, right] = isMember ? ['{', '}'] : ['(', ')'];
  return { before: `${open}return{made:${left}`, after: `\n${right},${parts.join(',')}}})` };
}

function unwrap(made: unknown, { form }: SourceShell): Callable {
  if (form !== 'method' && form !== 'getter' && form !== 'setter') return made as Callable;
  const [key = ''] = Reflect.ownKeys(made as object);
  const descriptor = Object.getOwnPropertyDescriptor(made, key);
  const member =
    form === 'getter' ? descriptor?.get : form === 'setter' ? descriptor?.set : descriptor?.value;
  return member as Callable;
}

function restoreName(fn: Callable, name: string): void {
  const own = Object.getOwnPropertyDescriptor(fn, 'name');
  // A class may have a static member of that name, which is part of its source.
  if (own && (own.value === name || typeof own.value !== 'string')) return;
  Object.defineProperty(fn, 'name', { value: name, configurable: true });
}

/** ECMAScript's ClassDefinitionEvaluation, steps on ClassHeritage. */
function inherit(derived: Callable, base: unknown): void {
  const isConstructor = typeof base === 'function';
  if (base !== null && !isConstructor) {
    throw new TypeError(`Class extends value ${String(base)} is not a constructor or null`);
  }
  Object.setPrototypeOf(derived, isConstructor ? base : Function.prototype);
  Object.setPrototypeOf(derived.prototype, isConstructor ? base.prototype : null);
}

function renameMembers(owner: Callable, from: readonly symbol[], to: readonly PropertyKey[]): void {
  for (const target of [owner, owner.prototype as object]) {
    from.forEach((placeholder, i) => {
      const descriptor = Object.getOwnPropertyDescriptor(target, placeholder);
      if (!descriptor) return;
      const key = to[i] as PropertyKey;
      const label = typeof key === 'symbol' ? `[${key.description ?? ''}]` : String(key);
      for (const [role, prefix] of [
        ['value', ''],
        ['get', 'get '],
        ['set', 'set '],
      ] as const) {
        const member = descriptor[role] as unknown;
        if (typeof member === 'function') restoreName(member as Callable, prefix + label);
      }
      Reflect.deleteProperty(target, placeholder);
      Object.defineProperty(target, key, descriptor);
    });
  }
}

function captureNow(capture: SourceShell['captures'][number], now: unknown, filled: unknown): Capture {
  const { name, module, export: exported } = capture;
  if (module !== undefined && exported !== undefined && Object.is(now, filled)) {
    return { name, module, export: exported };
  }
  return { name, value: now };
}

function importMeta(url: string): object {
  const file = url.startsWith('file:') ? fileURLToPath(url) : undefined;
  const meta = Object.assign(Object.create(null) as object, {
    url,
    ...(file && { filename: file, dirname: path.dirname(file) }),
    resolve: (specifier: string) => resolveImport(specifier, url),
  });
  importMetas.add(meta);
  return meta;
}

/** Dynamic `import()` in the source means what it meant where it was written. */
function dynamicImport(url: string): object {
  const base = pathToFileURL(baseOf(url)).href;
  const load = async (specifier: unknown, options?: ImportCallOptions) =>
    options
      ? import(resolveImport(String(specifier), base), options)
      : loadModule(resolveImport(String(specifier), base));
  importers.add(load);
  return load;
}

function baseOf(url: string): string {
  if (url.startsWith('file:')) return fileURLToPath(url);
  return path.isAbsolute(url) ? url : path.join(process.cwd(), '[eval]');
}
