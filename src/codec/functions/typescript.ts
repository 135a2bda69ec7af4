import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { ManyhandsError } from '../../errors/errors';

let registered = false;

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
export function enableTypeScript(url: string): void {
  if (hasTypeScriptHooks() || nodeStripsTypes(url)) return;
  const places = [fileURLToPath(url), path.join(process.cwd(), 'package.json')];
  for (const place of places) {
    const require = createRequire(place);
    let api: { register(): unknown };
    let commonJs: { register(): unknown };
    try {
      api = require('tsx/esm/api');
      commonJs = require('tsx/cjs/api');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND') continue;
      throw error;
    }
    commonJs.register();
    api.register();
    registered = true;
    return;
  }
  throw new ManyhandsError(
    `Cannot import ${url} as this Node (${process.version}) does not run TypeScript: install tsx, or use Node 22.18 or later`,
  );
}

function pathOf(url: string): string {
  return url.replace(/[?#].*$/, '');
}
