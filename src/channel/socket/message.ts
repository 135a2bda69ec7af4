import { decode, decodeAsync, needsModules } from '../../codec/decode.js';
import { type EncodeOptions, encodeInto, takeEncoded } from '../../codec/encode.js';
import { SerializationError } from '../../errors/errors.js';

/*
 * A value as a frame: these four bytes, then the message of the codec. The last of them is the number of the format, which
 * programs of one version have in common. Other frames are bytes as they are, whoever sent them.
 */
const HEAD = [0x93, 0x6d, 0x68, 0x01] as const;
const HEAD_BYTES = HEAD.length;

const MESSAGE: EncodeOptions = { root: 'message', abroad: true };
const STAGE_BYTES = 32 * 1024;

/** Where short messages are encoded, except while somebody is in the midst of it. */
let idle: Uint8Array | undefined;

/**
 * Encodes a value and gives the frame to `use`, which must copy it within the call, unless it `isOwn`.
 * @throws {SerializationError} Something in it cannot cross to another program.
 */
export function withFrame<R>(value: unknown, use: (frame: Uint8Array, isOwn: boolean) => R): R {
  const stage = idle ?? new Uint8Array(STAGE_BYTES);
  idle = undefined;
  try {
    const length = encodeInto(value, stage, HEAD_BYTES, MESSAGE);
    if (length > 0) {
      stage.set(HEAD);
      return use(stage.subarray(0, HEAD_BYTES + length), false);
    }
    const long = new Uint8Array(HEAD_BYTES - length);
    long.set(HEAD);
    long.set(takeEncoded(), HEAD_BYTES);
    return use(long, true);
  } finally {
    idle = stage;
  }
}

/** Is it a value, rather than bytes as they are? */
export function isValue(frame: Uint8Array): boolean {
  return (
    frame[0] === HEAD[0] &&
    frame[1] === HEAD[1] &&
    frame[2] === HEAD[2] &&
    frame[3] === HEAD[3] &&
    frame.length > HEAD_BYTES
  );
}

/** Is it a value of a program with another version of the library? */
export function isForeign(frame: Uint8Array): boolean {
  return (
    frame[0] === HEAD[0] &&
    frame[1] === HEAD[1] &&
    frame[2] === HEAD[2] &&
    frame[3] !== HEAD[3] &&
    frame.length > HEAD_BYTES
  );
}

/** The value, or a promise of it if modules must be loaded first. @throws {SerializationError} It cannot be decoded here. */
export function readValue(frame: Uint8Array): unknown | Promise<unknown> {
  if (!mustWait(frame)) return decode(frame, HEAD_BYTES);
  return loaded(frame);
}

/** @throws {SerializationError} It cannot be decoded here, or not without waiting. */
export function valueNow(frame: Uint8Array): unknown {
  return decode(frame, HEAD_BYTES);
}

/** Does the value refer to modules that must be waited for? */
export function mustWait(frame: Uint8Array): boolean {
  try {
    return needsModules(frame, HEAD_BYTES);
  } catch {
    return false; // a module threw as it was loaded: decoding will say so
  }
}

async function loaded(frame: Uint8Array): Promise<unknown> {
  try {
    return (await decodeAsync(frame, HEAD_BYTES)).value;
  } catch (error) {
    if (error instanceof SerializationError) throw error;
    const said = error instanceof Error ? error.message : String(error);
    throw new SerializationError(
      `Cannot read the message as "${said}" was thrown while a module that it refers to was loaded: see the cause`,
      { path: 'message', cause: error },
    );
  }
}
