import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ManyhandsError } from '../../errors/errors';
import { resolveImport } from './resolve';

const NEEDS_COMPILER = new Set([
  'ERR_UNSUPPORTED_TYPESCRIPT_SYNTAX',
  'ERR_UNSUPPORTED_NODE_MODULES_TYPE_STRIPPING',
  'ERR_MODULE_NOT_FOUND',
  'MODULE_NOT_FOUND',
]);

let registered = false;
/** What the hooks see to that the options of this process name. */
let hooked: 'imports' | 'requires only' | 'nothing' = 'imports';
let registering: Promise<void> | undefined;

/** Whether a module URL names TypeScript. */
export function isTypeScript(url: string): boolean {
  return /\.[cm]?tsx?$/.test(pathOf(url));
}

/** Whether this process compiles TypeScript by hooks: its own (`--import tsx`), or those registered here. */
export function hasTypeScriptHooks(): boolean {
  return registered || (hooked === 'imports' && optionsNameHooks());
}

/** Whether such hooks see to what is required. They may do so where they do not see to imports: see hooksStayedBehind(). */
export function hasRequireHooks(): boolean {
  return registered || (hooked !== 'nothing' && optionsNameHooks());
}

function optionsNameHooks(): boolean {
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  return /(^|[\s/=])(tsx|ts-node|tsm|@swc-node|esbuild-register)([/@\s.]|$)/.test(options);
}

/**
 * In a forked process: its options are reported as the program's, but no hooks came with them. In a thread: they came, but for imports they
 * may work on the main thread alone, as those of tsx do on Node 20.
 */
export function hooksStayedBehind(where: 'forked process' | 'thread'): void {
  hooked = where === 'thread' ? 'requires only' : 'nothing';
}

/** Whether Node itself turns this module into JavaScript: not JSX, and not `import` in a CommonJS module. */
export function nodeStripsTypes(url: string): boolean {
  return (
    Boolean((process.features as { typescript?: unknown }).typescript) && !/(x|\.cts)$/.test(pathOf(url))
  );
}

/**
 * Makes TypeScript importable in this process, once; costs a quarter of a second where Node cannot do it itself.
 *
 * Never call this in a process that will be forked: the hooks live on a thread that a fork does not have.
 * @throws {ManyhandsError} tsx is installed neither for the module nor for the program.
 */
export async function enableTypeScript(url: string): Promise<void> {
  if (hasTypeScriptHooks() || nodeStripsTypes(url)) return;
  try {
    await useTsx(url);
  } catch (error) {
    // Without tsx, .cts may still be CommonJS with types: Node tells.
    if (!(process.features as { typescript?: unknown }).typescript) throw error;
  }
}

/**
 * Whether it is worth importing again after this error: Node alone met TypeScript that has to be compiled (an enum,
 * `./x.js` for x.ts), and tsx, which does that, is there. It is in use then.
 */
export async function canCompileInstead(url: string, error: unknown): Promise<boolean> {
  if (hasTypeScriptHooks() || !NEEDS_COMPILER.has((error as NodeJS.ErrnoException | undefined)?.code ?? '')) {
    return false;
  }
  return useTsx(url).then(
    () => true,
    () => false,
  );
}

/** Whether `require()` failed for want of a compiler or a loader that `import()` may have. */
export function isLoaderError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? '';
  return code === 'ERR_REQUIRE_ESM' || code === 'ERR_REQUIRE_ASYNC_MODULE' || NEEDS_COMPILER.has(code);
}

async function useTsx(url: string): Promise<void> {
  registering ??= registerTsx(url);
  try {
    await registering;
  } catch (error) {
    registering = undefined;
    throw error;
  }
}

async function registerTsx(url: string): Promise<void> {
  for (const base of [url, pathToFileURL(path.join(process.cwd(), 'package.json')).href]) {
    const found = (['tsx/cjs/api', 'tsx/esm/api'] as const).map(name => resolveQuietly(name, base));
    if (found.includes(undefined)) continue;
    // Both: one for require() and for what import() hands to it, one for import().
    for (const api of found) {
      const { register } = (await import(api as string)) as { register(): unknown };
      register();
    }
    registered = true;
    return;
  }
  throw new ManyhandsError(
    `Cannot import ${url} as this Node (${process.version}) does not run TypeScript: install tsx, or use Node 22.18 or later`,
  );
}

function resolveQuietly(specifier: string, base: string): string | undefined {
  try {
    return resolveImport(specifier, base);
  } catch {
    return undefined; // not installed there
  }
}

function pathOf(url: string): string {
  return url.replace(/[?#].*$/, '');
}
