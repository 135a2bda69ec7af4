import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire, isBuiltin } from 'node:module';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

type Target = string | null | readonly Target[] | { readonly [condition: string]: Target };
interface Package {
  readonly name?: string;
  readonly exports?: Target;
  readonly imports?: { readonly [key: string]: Target };
}

/** What an `import` in Node asks packages for, besides `default`. */
const CONDITIONS = new Set(['node', 'import', 'module-sync', 'node-addons']);
const TYPESCRIPT: Record<string, readonly string[]> = {
  '.js': ['.ts', '.tsx'],
  '.mjs': ['.mts'],
  '.cjs': ['.cts'],
  '.jsx': ['.tsx'],
  '': ['.ts', '.tsx', '.js', '/index.ts', '/index.js'],
};

/**
 * The absolute URL (or `node:` name) that `import … from specifier` means in the module `base`.
 *
 * Follows Node's "ECMAScript modules: resolution algorithm"; CommonJS's resolution is asked where that finds nothing.
 * A relative path that names no file is taken as TypeScript's way to say the file it compiles from.
 */
export function resolveImport(specifier: string, base: string): string {
  if (isBuiltin(specifier)) return specifier.startsWith('node:') ? specifier : `node:${specifier}`;
  if (/^(\.{0,2}\/|[a-z][a-z0-9+.-]+:)/i.test(specifier)) return resolveUrl(specifier, base);
  if (!base.startsWith('file:')) return createRequire(path.join(process.cwd(), 'x')).resolve(specifier);
  const from = fileURLToPath(base);
  const internal = specifier.startsWith('#') ? resolveInternal(specifier, from) : undefined;
  if (internal !== undefined) return internal;
  const file = resolvePackage(specifier, from) ?? createRequire(from).resolve(specifier);
  return pathToFileURL(realpathSync(file)).href;
}

function resolveUrl(specifier: string, base: string): string {
  const url = new URL(specifier, base);
  if (url.protocol !== 'file:') return url.href;
  const file = fileURLToPath(url);
  if (existsSync(file) && path.extname(file)) return url.href;
  const extension = path.extname(file);
  const stem = file.slice(0, file.length - extension.length);
  const found = TYPESCRIPT[extension]
    ?.map(candidate => stem + candidate)
    .find(candidate => existsSync(candidate));
  return found ? pathToFileURL(found).href + url.search : url.href;
}

/** `pkg`, `pkg/sub`, `@scope/pkg/sub`: by the package's `exports`, which may be that of the importer itself. */
function resolvePackage(specifier: string, from: string): string | undefined {
  const [, name = '', rest = ''] = /^((?:@[^/]+\/)?[^/]+)(\/.*)?$/.exec(specifier) ?? [];
  const own = enclosingPackage(from);
  if (own?.content.name === name && own.content.exports !== undefined) {
    return resolveExports(own.content.exports, `.${rest}`, own.folder);
  }
  for (const folder of ancestors(from)) {
    const candidate = path.join(folder, 'node_modules', name);
    const content = readPackage(candidate);
    if (!content) continue;
    return content.exports === undefined ? undefined : resolveExports(content.exports, `.${rest}`, candidate);
  }
  return undefined;
}

/** `#name`: by the `imports` of the importer's package, which may lead anywhere. */
function resolveInternal(specifier: string, from: string): string | undefined {
  const own = enclosingPackage(from);
  const target = own?.content.imports && match(own.content.imports, specifier);
  const found = target && choose(target.target, target.star);
  if (!found) return undefined;
  return resolveImport(
    found,
    pathToFileURL(found.startsWith('.') ? path.join(own.folder, 'package.json') : from).href,
  );
}

function resolveExports(exports: Target, subpath: string, folder: string): string | undefined {
  const table =
    typeof exports === 'object' &&
    exports !== null &&
    !Array.isArray(exports) &&
    Object.keys(exports).some(key => key.startsWith('.'))
      ? (exports as { readonly [key: string]: Target })
      : { '.': exports };
  const target = match(table, subpath);
  const found = target && choose(target.target, target.star);
  return found ? path.join(folder, found) : undefined;
}

/** The entry for a key: itself, else the pattern with the longest part before its `*`. */
function match(
  table: { readonly [key: string]: Target },
  key: string,
): { target: Target; star: string } | undefined {
  const exact = table[key];
  if (exact !== undefined) return { target: exact, star: '' };
  let best: { target: Target; star: string; length: number } | undefined;
  for (const [pattern, target] of Object.entries(table)) {
    const [before, after] = pattern.split('*');
    if (before === undefined || after === undefined) continue;
    if (!key.startsWith(before) || !key.endsWith(after) || key.length < pattern.length - 1) continue;
    if (best && best.length >= before.length) continue;
    best = { target, star: key.slice(before.length, key.length - after.length), length: before.length };
  }
  return best;
}

function choose(target: Target, star: string): string | undefined {
  if (typeof target === 'string') return target.replaceAll('*', star);
  if (target === null) return undefined;
  const options: Target[] = Array.isArray(target)
    ? [...target]
    : Object.entries(target)
        .filter(([condition]) => condition === 'default' || CONDITIONS.has(condition))
        .map(([, option]) => option as Target);
  for (const option of options) {
    const found = choose(option, star);
    if (found !== undefined) return found;
  }
  return undefined;
}

function enclosingPackage(from: string): { folder: string; content: Package } | undefined {
  for (const folder of ancestors(from)) {
    const content = readPackage(folder);
    if (content) return { folder, content };
  }
  return undefined;
}

function* ancestors(from: string): Generator<string> {
  let folder = path.dirname(from);
  for (;;) {
    yield folder;
    const parent = path.dirname(folder);
    if (parent === folder) return;
    folder = parent;
  }
}

function readPackage(folder: string): Package | undefined {
  try {
    return JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as Package;
  } catch {
    return undefined;
  }
}
