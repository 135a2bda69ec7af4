import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { isModuleNamespaceObject } from 'node:util/types';
import { GLOBAL } from './builtins';
import {
  canCompileInstead,
  enableTypeScript,
  hasRequireHooks,
  isLoaderError,
  isTypeScript,
  nodeStripsTypes,
} from './typescript';

/** CommonJS modules by file. (`require.cache` itself is missing where hooks load this file as an ES module's import.) */
export const moduleCache = createRequire(__filename).cache;

const loading = new Map<string, Promise<object>>();
const loaded = new Map<string, object>();
let entry: string | null | undefined;

/**
 * Imports a module: a `file:` URL, a builtin, or `globalThis`. TypeScript too: by Node where it can, else by tsx,
 * registered on first need. The result has the shape of an ES module namespace; for CommonJS, `default` is its
 * `module.exports` and every property of that is an export.
 *
 * Rejects with what the module threw; or ManyhandsError where TypeScript cannot be run.
 */
export async function loadModule(module: string): Promise<object> {
  const known = loadedModule(module);
  if (known) return known;
  let promise = loading.get(module);
  if (!promise) {
    promise = importModule(module);
    loading.set(module, promise);
    // A failure is not kept here: the engine remembers a module that threw, and a missing file may appear.
    promise.catch(() => loading.delete(module));
  }
  return promise;
}

/**
 * The same at once, where that can be: loaded before, builtin, or to be had by `require()`. Otherwise undefined:
 * an ES module that awaits at its top level, or on a Node whose `require()` cannot load ES modules; TypeScript
 * that needs tsx. Throws what the module threw.
 */
export function loadedModule(module: string): object | undefined {
  const known = loaded.get(module);
  if (known) return known;
  if (module === GLOBAL) return globalThis;
  if (isBuiltin(module)) return remember(module, commonJsNamespace(require(module)));
  const file = commonJsFile(module);
  if (!file) return undefined;
  const cached = moduleCache[file];
  if (cached) return namespace(cached.exports);
  if (!canRequire(file)) return undefined;
  try {
    return remember(module, namespace(quietly(() => createRequire(file)(file))));
  } catch (error) {
    if (isLoaderError(error)) return undefined;
    throw error;
  }
}

/** In a child: the entry module of the program it works for, which is never run again; its functions cross by value. */
export function setEntry(url: string | undefined): void {
  entry = url ?? null;
}

/** The URL of the program's entry module; undefined for `node -e`, standard input and the REPL. */
export function entryModule(): string | undefined {
  if (entry === undefined) entry = findEntry() ?? null;
  return entry ?? undefined;
}

/** Is this the entry module, or the text given by `node -e` or on standard input? Its functions cross by value. */
export function isEntry(url: string): boolean {
  return url === entryModule() || /\/\[eval\d+\]$/.test(url);
}

/** The key a CommonJS module at this URL has in `require.cache`. Undefined: there can be none, be it that the URL is damaged. */
export function commonJsFile(url: string): string | undefined {
  if (!url.startsWith('file:') || /[?#]/.test(url)) return undefined;
  try {
    return fileURLToPath(url);
  } catch {
    return undefined;
  }
}

async function importModule(module: string): Promise<object> {
  const imported = isTypeScript(module) ? await importTypeScript(module) : ((await import(module)) as object);
  const file = commonJsFile(module);
  const cached = file === undefined ? undefined : moduleCache[file];
  // Loaders disagree about what importing CommonJS gives; what it exports is beyond dispute.
  return remember(module, cached ? namespace(cached.exports) : imported);
}

async function importTypeScript(module: string): Promise<object> {
  await enableTypeScript(module);
  try {
    return (await import(module)) as object;
  } catch (error) {
    if (await canCompileInstead(module, error)) return (await import(module)) as object;
    throw error;
  }
}

function remember(module: string, namespace: object): object {
  loaded.set(module, namespace);
  return namespace;
}

function namespace(exports: unknown): object {
  return isModuleNamespaceObject(exports) ? (exports as object) : commonJsNamespace(exports);
}

function commonJsNamespace(exports: unknown): object {
  const result = Object.create(null) as object;
  const names =
    typeof exports === 'object' || typeof exports === 'function' ? Object.keys(exports ?? {}) : [];
  for (const name of names) {
    const get = () => (exports as Record<string, unknown>)[name];
    Object.defineProperty(result, name, { enumerable: true, configurable: true, get });
  }
  return Object.defineProperty(result, 'default', { enumerable: true, value: exports });
}

/** Whether `require()` of this file makes the one instance that `import()` would make. */
function canRequire(file: string): boolean {
  const extension = path.extname(file);
  if (extension === '.cjs' || extension === '.json') return true;
  // Hooks turn whatever is required into CommonJS: a second instance, where import() makes an ES module.
  if (hasRequireHooks()) return extension === '.js' && packageType(file) !== 'module';
  if (isTypeScript(file)) return nodeStripsTypes(file);
  return extension === '.js' || extension === '.mjs';
}

function packageType(file: string): unknown {
  for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
    try {
      return (JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as { type?: unknown }).type;
    } catch {
      if (folder === path.dirname(folder)) return undefined;
    }
  }
}

/** Runs `action` without the notice some versions of Node give when `require()` loads an ES module. */
function quietly<T>(action: () => T): T {
  const emitWarning = process.emitWarning;
  process.emitWarning = ((...args: Parameters<typeof emitWarning>) => {
    if (!/loading ES Module|ES module/i.test(String(args[0]))) emitWarning.apply(process, args);
  }) as typeof emitWarning;
  try {
    return action();
  } finally {
    process.emitWarning = emitWarning;
  }
}

function findEntry(): string | undefined {
  const { argv, _eval } = process as NodeJS.Process & { _eval?: string };
  const script = argv[1];
  if (_eval !== undefined || !script) return undefined;
  if (hasOption('--entry-url')) return new URL(script, `${pathToFileURL(process.cwd()).href}/`).href;
  const absolute = path.resolve(script);
  const candidates = [absolute, ...['.ts', '.tsx', '.mts', '.cts'].map(extension => absolute + extension)];
  for (const candidate of candidates) {
    try {
      const file = realpathSync(createRequire(absolute).resolve(candidate));
      const isLink = existsSync(candidate) && realpathSync(candidate) === file;
      return pathToFileURL(isLink && hasOption('--preserve-symlinks-main') ? candidate : file).href;
    } catch {
      // Not this one.
    }
  }
  return undefined;
}

/** Was this Node started with an option, by its command or by NODE_OPTIONS? */
function hasOption(name: string): boolean {
  return [...process.execArgv, ...(process.env.NODE_OPTIONS ?? '').split(' ')].includes(name);
}
