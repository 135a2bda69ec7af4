import { inspect, types } from 'node:util';
import { RemoteError } from '../errors/errors.js';
import { nameOf } from './classes.js';
import { decode, decodeAsync } from './decode.js';
import { copyOut } from './encode.js';
import { withEncoder } from './encoder.js';
import { toFailure } from './path.js';

/** Properties that may be left out of one thrown value; past that, only its message and stack cross. */
const MOST_OMITTED = 100;

/** Stands between the frames of the two sides. It looks like a frame, so that what reads stacks passes over it. */
const SEPARATOR = '    at (called from)';

/**
 * The bytes of something thrown, for decodeThrown(). Never fails.
 *
 * Errors of built-in classes and of classes that can be imported cross as themselves; others become RemoteError.
 * Properties that cannot cross are left out and named in a property `notSent`. What is no error crosses as it is, or,
 * where it cannot, as a RemoteError that shows it.
 */
export function encodeThrown(thrown: unknown): Uint8Array {
  const omitted = new Map<object, Set<string>>();
  for (let left = MOST_OMITTED; left > 0; left--) {
    try {
      return withEncoder(thrown, { thrown: true, omitted }, undefined, 0, copyOut);
    } catch (error) {
      const { culprit } = toFailure(error);
      const keys = culprit && (omitted.get(culprit.error) ?? new Set());
      if (!culprit || !keys || keys.has(culprit.key)) break;
      omitted.set(culprit.error, keys.add(culprit.key));
    }
  }
  return withEncoder(picture(thrown), undefined, undefined, 0, copyOut);
}

/** What was thrown over there; a SerializationError where that cannot be read, for instance because its class is gone. */
export function decodeThrown(bytes: Uint8Array, offset = 0, length = bytes.length - offset): unknown {
  try {
    return decode(bytes, offset, length);
  } catch (error) {
    return error;
  }
}

/** The same, once the modules of its classes are loaded. In an object, as decodeAsync() does and for the same reason. */
export async function decodeThrownAsync(
  bytes: Uint8Array,
  offset = 0,
  length = bytes.length - offset,
): Promise<{ value: unknown }> {
  try {
    return await decodeAsync(bytes, offset, length);
  } catch (error) {
    return { value: error };
  }
}

/**
 * Makes an error's stack show the remote frames first, then those of `localStack` (the `stack` of an error made where
 * the call was). Does nothing to what is no error, or cannot be changed.
 */
export function joinStacks(error: unknown, localStack: string): void {
  if (!(error instanceof Error)) return;
  const stack = attempt(() => error.stack);
  const remote = typeof stack === 'string' ? stack : (attempt(() => String(error)) ?? 'Error');
  const local = localStack.split('\n').filter(line => /^\s+at /.test(line));
  Reflect.defineProperty(error, 'stack', {
    value: [remote, SEPARATOR, ...local].join('\n'),
    writable: true,
    enumerable: false,
    configurable: true,
  });
}

/** A RemoteError that shows what itself cannot cross. */
function picture(thrown: unknown): RemoteError {
  const isObject = (typeof thrown === 'object' && thrown !== null) || typeof thrown === 'function';
  // A Proxy that was revoked, or whose handler throws, cannot even be asked for that.
  const remoteName = (isObject && attempt(() => nameOf(Object.getPrototypeOf(thrown)))) || typeof thrown;
  const error = new RemoteError(show(thrown), { remoteName });
  const stack = types.isNativeError(thrown) ? attempt(() => thrown.stack) : undefined;
  error.stack = typeof stack === 'string' ? stack : `RemoteError: ${error.message}`;
  return error;
}

function show(thrown: unknown): string {
  const message = types.isNativeError(thrown) ? attempt(() => thrown.message) : undefined;
  if (typeof message === 'string') return message;
  const limits = { depth: 1, maxArrayLength: 10, maxStringLength: 1000, customInspect: false };
  return attempt(() => inspect(thrown, limits)) ?? 'a value that cannot be shown';
}

/** What `read` gives, or undefined where a getter throws. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
