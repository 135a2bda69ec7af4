import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { entryModule, loadModule } from '../codec/functions/modules.js';
import { resolveImport } from '../codec/functions/resolve.js';

/** A function to run elsewhere: the function itself (a closure too), or where to import it from. */
export type Target<A extends readonly unknown[], R> =
  | ((...args: A) => R | PromiseLike<R>)
  | {
      /** What to import: a URL, a path from the working directory, the name of a package. */
      module: string | URL;
      /** Which of its exports is the function. Default: the default export. */
      export?: string;
    };

/** A target as it crosses: a path in `module` has become a URL, so that it means the same over there. */
export type PortableTarget = ((...args: unknown[]) => unknown) | { module: string; export: string };

/**
 * Checks a target and makes it portable. A relative path counts from the working directory.
 * @throws {TypeError} It is none.
 */
export function portable(target: unknown): PortableTarget {
  if (typeof target === 'function') return target as PortableTarget;
  const { module, export: name = 'default' } = (target ?? {}) as { module?: unknown; export?: unknown };
  if (!(typeof module === 'string' || module instanceof URL) || typeof name !== 'string')
    throw new TypeError(
      `Cannot run ${target === null ? 'null' : typeof target} as a target: give a function, or { module, export }`,
    );
  return { module: moduleUrl(module), export: name };
}

/**
 * A module as another process finds it, as a URL: a path counts from the working directory, a package's name from the
 * program's entry module.
 * @throws {TypeError} It is no path, URL or name, or there is no such package.
 */
export function moduleUrl(module: string | URL): string {
  if (module instanceof URL) return module.href;
  const isPath = /^\.{0,2}\//.test(module);
  const base = entryModule() ?? pathToFileURL(path.resolve('program')).href;
  try {
    return resolveImport(isPath ? pathToFileURL(path.resolve(module)).href : module, base);
  } catch (cause) {
    throw new TypeError(
      `Cannot find the package of ${JSON.stringify(module)} from ${base}: install it, or begin a path with ./ or /`,
      { cause },
    );
  }
}

/** The function that a portable target stands for, imported if need be. */
export async function resolveTarget(target: PortableTarget): Promise<(...args: unknown[]) => unknown> {
  if (typeof target === 'function') return target;
  const namespace = (await loadModule(target.module)) as Record<string, unknown>;
  let found = namespace[target.export];
  // What a CommonJS module compiled from ES syntax calls its default export, import() finds one level down.
  if (target.export === 'default' && typeof found === 'object' && found !== null && 'default' in found)
    found = found.default;
  if (typeof found !== 'function')
    throw new TypeError(
      `Cannot run export "${target.export}" of ${target.module} as it is ${found === undefined ? 'not there' : `of type ${typeof found}`}: it exports ${Object.keys(namespace).join(', ') || 'nothing'}`,
    );
  return found as (...args: unknown[]) => unknown;
}

/** Calls it, imported first if need be; without one there is nothing to do. */
export function callTarget(target: PortableTarget | undefined, args: readonly unknown[]): unknown {
  if (target === undefined) return undefined;
  if (typeof target === 'function') return target(...args);
  return resolveTarget(target).then(found => found(...args));
}
