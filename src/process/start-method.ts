import { LifecycleError } from '../errors/errors.js';

/** How a process comes to life: forked from a warm server, or as a fresh Node. */
export type StartMethod = 'forkserver' | 'spawn';

const METHODS: readonly StartMethod[] = ['forkserver', 'spawn'];
let chosen: StartMethod | undefined;

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
 * Chooses the start method of this program, once, before the first start.
 * @throws {LifecycleError} It is settled already.
 */
export function setStartMethod(method: StartMethod): void {
  checkStartMethod(method);
  if (chosen !== undefined && chosen !== method)
    throw new LifecycleError(
      `Cannot set the start method to "${method}" as "${chosen}" is in use: call setStartMethod() before all else`,
    );
  chosen = method;
}

/** @throws {RangeError} There is no such start method here. */
export function checkStartMethod(method: unknown): asserts method is StartMethod {
  if (!METHODS.includes(method as StartMethod))
    throw new RangeError(`Cannot start processes by "${method}": use one of ${METHODS.join(', ')}`);
}

/** In a child: its creator's choice. */
export function inheritStartMethod(method: StartMethod): void {
  chosen = method;
}
