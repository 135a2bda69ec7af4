import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { ManyhandsError } from '../../errors/errors';
import { resolveImport } from './resolve';

let registered = false;
let registering: Promise<void> | undefined;

/** Whether a module URL names TypeScript. */
export function isTypeScript(url: string): boolean {
  return /\.[cm]?tsx?$/.test(pathOf(url));
}

/** Whether this process compiles TypeScript by hooks: its own (`--import tsx`), or those registered here. */
export function hasTypeScriptHooks(): boolean {
  if (registered) return true;
  const options = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ');
  return /(^|[\s/=])(tsx|ts-node|tsm|@swc-node|esbuild-register)([/@\s.]|$)/.test(options);
}

/** Whether Node itself turns this module into JavaScript (it does not know JSX). */
export function nodeStripsTypes(url: string): boolean {
  return Boolean((process.features as { typescript?: unknown }).typescript) && !pathOf(url).endsWith('x');
}

/**
 * Makes TypeScript importable in this process, once; costs some 50 ms where Node cannot do it itself.
 *
 * Never call this in a process that will be forked: the hooks live on a thread that a fork does not have.
 * @throws {ManyhandsError} tsx is installed neither for the module nor for the program.
 */
export async function enableTypeScript(url: string): Promise<void> {
  if (hasTypeScriptHooks() || nodeStripsTypes(url)) return;
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
