import { type Encoder, type Replace, withEncoder } from './encoder.js';
import { toFailure } from './path.js';
import type { Spill } from './writer.js';

/** How a value is encoded. */
export interface EncodeOptions {
  /** What error messages call the value, such as `args`; '' for nothing, so that paths begin with a property. Default `value`. */
  readonly root?: string;
  /** Is it for other programs, too? Then what stands for something that they cannot reach is refused. Default false. */
  readonly abroad?: boolean;
}

/** How it is written into memory that may be too small. */
export interface EncodeIntoOptions extends EncodeOptions {
  /**
   * Gives memory of at least so many bytes for a message with ArrayBuffers or views in it that does not fit: these are copied
   * straight there. Undefined: there is none. Called once at most, when nothing of the value is read any more but its bytes.
   */
  readonly spill?: Spill;
  /** Gives what crosses in place of an object. */
  readonly replace?: Replace;
}

/** From here on bytes that need not be copied twice are not. */
const MANY = 64 * 1024;

const spillToOwn: Spill = bytes =>
  bytes < MANY ? undefined : new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
const OWN = { spill: spillToOwn };
const OWN_ABROAD = { abroad: true, spill: spillToOwn };

/** The message that did not fit its target. */
let overflow: Uint8Array | undefined;

/**
 * The value as bytes, for `decode` in a process or thread of the same program: structured clone and more, see
 * docs/values.md. The bytes are the caller's own.
 * @throws {SerializationError} Something in it cannot cross; `path` says where it is, `cause` what a getter threw.
 */
export function encode(value: unknown, options?: EncodeOptions): Uint8Array {
  try {
    return withEncoder(value, options?.abroad ? OWN_ABROAD : OWN, undefined, 0, copyOut);
  } catch (error) {
    throw toFailure(error).toError(options?.root ?? 'value');
  }
}

/**
 * Writes the value's bytes straight into `target` at `offset` and returns how many there are. When they do not fit,
 * what follows `offset` is undefined, the result is minus the number of bytes needed, and takeEncoded() has them, unless they
 * are in the memory that `spill` gave.
 * @throws {SerializationError} As encode() does; what follows `offset` is undefined then.
 */
export function encodeInto(
  value: unknown,
  target: Uint8Array,
  offset: number,
  options?: EncodeIntoOptions,
): number {
  try {
    return withEncoder(value, options, target, offset, lengthInTarget);
  } catch (error) {
    throw toFailure(error).toError(options?.root ?? 'value');
  }
}

/**
 * The message that the last encodeInto() found no room for. It can be taken once, and is good until the next message is
 * encoded: copy it at once.
 */
export function takeEncoded(): Uint8Array {
  const message = overflow;
  if (message === undefined)
    throw new RangeError('Cannot take a message as encodeInto() left none: call it first');
  overflow = undefined;
  return message;
}

export function copyOut(encoder: Encoder): Uint8Array {
  const { bytes, start, pos } = encoder;
  return encoder.isSpilled ? bytes.subarray(start, pos) : bytes.slice(start, pos);
}

function lengthInTarget(encoder: Encoder, target: Uint8Array | undefined, offset: number): number {
  const { length } = encoder;
  if (encoder.bytes === target) return length;
  if (encoder.isSpilled) return -length;
  // Room is asked for generously: it may fit after all.
  if (target !== undefined && length <= target.length - offset) {
    target.set(encoder.bytes.subarray(encoder.start, encoder.pos), offset);
    return length;
  }
  overflow = encoder.bytes.subarray(encoder.start, encoder.pos);
  return -length;
}
