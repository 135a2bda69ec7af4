import { SerializationError } from '../errors/errors.js';
import { Decoder } from './decoder.js';
import { loadedModule, loadModule } from './functions/modules.js';
import { TAG } from './tags.js';

let idle: Decoder | undefined;

/** Runs `use` with a decoder of its own: what it makes may decode, too. Whatever is thrown becomes a SerializationError. */
function withDecoder<R>(
  bytes: Uint8Array,
  offset: number,
  length: number,
  use: (decoder: Decoder, bytes: Uint8Array, start: number, end: number) => R,
): R {
  const end = offset + length;
  if (!(offset >= 0 && length >= 0 && end <= bytes.length)) {
    throw new RangeError(
      `Cannot decode ${length} bytes at ${offset} as there are ${bytes.length}: pass a range inside`,
    );
  }
  const decoder = idle ?? new Decoder();
  idle = undefined;
  try {
    return use(decoder, bytes, offset, end);
  } catch (error) {
    if (error instanceof SerializationError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    throw new SerializationError(
      `Cannot read the message at byte ${decoder.pos} as "${said}" was thrown: see the cause`,
      { path: `byte ${decoder.pos}`, cause: error },
    );
  } finally {
    decoder.close();
    idle = decoder;
  }
}

/**
 * The value in a message of encode(). Nothing of it refers to `bytes` afterwards.
 * @throws {SerializationError} The message is damaged, or refers to a module that cannot be had synchronously:
 *   needsModules() tells, decodeAsync() loads it.
 */
export function decode(bytes: Uint8Array, offset = 0, length = bytes.length - offset): unknown {
  return withDecoder(bytes, offset, length, readMessage);
}

/**
 * Loads the modules that the message refers to, then decodes it. The message is copied before the first wait. The
 * value comes in an object so that one with a method `then` is not taken for a promise.
 * @throws {SerializationError} As decode(); an error that a module throws while it loads is thrown as it is.
 */
export async function decodeAsync(
  bytes: Uint8Array,
  offset = 0,
  length = bytes.length - offset,
): Promise<{ value: unknown }> {
  const missing = missingModules(bytes, offset, length);
  if (missing.length === 0) return { value: decode(bytes, offset, length) };
  const copy = new Uint8Array(bytes.subarray(offset, offset + length));
  await Promise.all(missing.map(loadModule));
  return { value: decode(copy) };
}

/** Loads the modules that the message refers to, so that decode() has them. */
export async function loadModules(bytes: Uint8Array, offset = 0): Promise<void> {
  await Promise.all(missingModules(bytes, offset, bytes.length - offset).map(loadModule));
}

/** Whether the message refers to modules that are not loaded yet, so that decode() would fail. Cheap. */
export function needsModules(bytes: Uint8Array, offset = 0): boolean {
  return bytes[offset] === TAG.prefix && missingModules(bytes, offset, bytes.length - offset).length > 0;
}

function missingModules(bytes: Uint8Array, offset: number, length: number): string[] {
  return withDecoder(bytes, offset, length, readModules).filter(module => loadedModule(module) === undefined);
}

function readMessage(decoder: Decoder, bytes: Uint8Array, start: number, end: number): unknown {
  return decoder.message(bytes, start, end);
}

function readModules(decoder: Decoder, bytes: Uint8Array, start: number, end: number): string[] {
  return decoder.readModules(bytes, start, end);
}
