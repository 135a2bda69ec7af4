import { LifecycleError } from '../errors/errors.js';

/** All start methods, the default first. */
export const METHODS: readonly [StartMethod, ...StartMethod[]] = ['forkserver', 'spawn', 'fork'];

/**
 * How a process comes to life: forked from a warm server, as a fresh Node, or forked from its parent as that is: with all that
 * is in memory, in programs that are started for it (see fork()).
 */
export type StartMethod = 'forkserver' | 'spawn' | 'fork';

let chosen: StartMethod | undefined;
/** Was it chosen by this process's creator? */
let inherited = false;

/** The start methods of this platform, the default first. */
export function getAllStartMethods(): StartMethod[] {
  return [...METHODS];
}

/** The method by which processes start that are not asked to start by another. Asking settles it, as in Python. */
export function getStartMethod(): StartMethod {
  chosen ??= METHODS[0];
  return chosen;
}

/**
 * Chooses the start method of this program, once, before the first start. Children have their creator's; a module that sets
 * that very method may be loaded there as well.
 * @throws {RangeError} There is no such start method.
 * @throws {LifecycleError} It is settled already.
 */
export function setStartMethod(method: StartMethod): void {
  checkStartMethod(method);
  if (inherited && method === chosen) return;
  if (chosen !== undefined)
    throw new LifecycleError(
      `Cannot set the start method to "${method}" as "${chosen}" is settled: call setStartMethod() once, before all else, or use getContext("${method}")`,
    );
  chosen = method;
}

/** @throws {RangeError} There is no such start method here. */
export function checkStartMethod(method: unknown): asserts method is StartMethod {
  if (!METHODS.includes(method as StartMethod))
    throw new RangeError(`Cannot start processes by "${String(method)}": use one of ${METHODS.join(', ')}`);
}

/** In a child, or a thread: its creator's choice. */
export function inheritStartMethod(method: StartMethod): void {
  chosen = method;
  inherited = true;
}
