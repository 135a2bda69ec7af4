import { type EncodeIntoOptions, encodeInto, takeEncoded } from '../codec/encode.js';
import { SerializationError } from '../errors/errors.js';
import type { Transport } from './transport.js';

/*
 * What clients and servers say to each other: README.md has the list. A frame is a byte that says which, whole numbers, and a
 * value's or a text's bytes up to its end.
 */

export const TO_SERVER = {
  /** [value: who it is] */
  HELLO: 1,
  /** call, object, method; arguments. Method 0: its name follows, as a number of bytes and these. */
  CALL: 2,
  /** object, serial */
  LEND: 3,
  /** object, serial; who lent it */
  CLAIM: 4,
  /** object */
  DROP: 5,
  /** call */
  CANCEL: 6,
  /** serial of HOLDING */
  RECEIVED: 7,
} as const;

export const TO_CLIENT = {
  /** [value: who it is] */
  WELCOME: 1,
  /** call; result. No bytes: undefined. */
  RESULT: 2,
  /** call; what was thrown */
  THROWN: 3,
  /** call */
  CANCELLED: 4,
  /** [value: a type's description] */
  TYPE: 5,
  /** serial: the result before it holds something open until RECEIVED comes. */
  HOLDING: 6,
} as const;

const SCRATCH = 64 * 1024;
/** More than the numbers of a frame take. */
const HEAD = 64;

let scratch: Uint8Array | undefined;
let at = 0;

/** Stands for no bytes at all. */
export const NOTHING: unique symbol = Symbol('nothing');

/** Sends a frame of up to three numbers (−1: none) and a value. @throws {SerializationError} The value cannot cross; nothing was sent. */
export function sendValue(
  to: Transport,
  kind: number,
  value: unknown,
  options: EncodeIntoOptions | undefined,
  first = -1,
  second = -1,
  third = -1,
  name = '',
): void {
  // Code of the user's may run as the value is encoded, and send frames of its own.
  const own = scratch ?? new Uint8Array(SCRATCH);
  scratch = undefined;
  try {
    const start = writeHead(own, kind, first, second, third, name);
    if (value === NOTHING) {
      to.send(own.subarray(0, start));
      return;
    }
    const length = encodeInto(value, own, start, options);
    if (length >= 0) to.send(own.subarray(0, start + length));
    else to.send(joined(own.subarray(0, start), takeEncoded()));
  } finally {
    scratch = own;
  }
}

/** Sends a frame of numbers (−1: none) and bytes. */
export function sendBytes(to: Transport, kind: number, bytes: Uint8Array, first = -1, second = -1): void {
  const head = new Uint8Array(HEAD);
  const start = writeHead(head, kind, first, second, -1, '');
  to.send(joined(head.subarray(0, start), bytes));
}

function joined(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const frame = new Uint8Array(Buffer.allocUnsafeSlow(head.length + rest.length).buffer);
  frame.set(head);
  frame.set(rest, head.length);
  return frame;
}

function writeHead(
  into: Uint8Array,
  kind: number,
  first: number,
  second: number,
  third: number,
  name: string,
): number {
  into[0] = kind;
  at = 1;
  if (first >= 0) writeNumber(into, first);
  if (second >= 0) writeNumber(into, second);
  if (third >= 0) writeNumber(into, third);
  if (third === 0) {
    const bytes = Buffer.from(name.slice(0, LONGEST_NAME));
    writeNumber(into, bytes.length);
    into.set(bytes, at);
    at += bytes.length;
  }
  return at;
}

const LONGEST_NAME = 1000;

function writeNumber(into: Uint8Array, number: number): void {
  let left = number;
  while (left > 127) {
    into[at++] = (left % 128) | 128;
    left = Math.floor(left / 128);
  }
  into[at++] = left;
}

/** Reads a frame from its front. */
export class FrameReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #at = 0;

  open(bytes: Uint8Array): void {
    this.#bytes = bytes;
    this.#at = 0;
  }

  byte(): number {
    if (this.#at >= this.#bytes.length) throw damaged('it ends too early');
    return this.#bytes[this.#at++];
  }

  number(): number {
    let byte = this.byte();
    if (byte < 128) return byte;
    let result = byte & 127;
    for (let unit = 128; ; unit *= 128) {
      if (unit > 2 ** 46) throw damaged('a number is too large');
      byte = this.byte();
      result += (byte & 127) * unit;
      if (byte < 128) return result;
    }
  }

  /** A text of so many bytes. */
  text(length: number): string {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw damaged('it ends too early');
    const text = Buffer.from(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, length).toString();
    this.#at = end;
    return text;
  }

  /** What is left. Good as long as the frame's bytes. */
  rest(): Uint8Array {
    return this.#bytes.subarray(this.#at);
  }
}

/** What a frame means that no client or server of this version sends. */
export function damaged(why: string): SerializationError {
  return new SerializationError(
    `Cannot read a frame of the manager's protocol as ${why}: use the same version of manyhands on both sides`,
    { path: 'frame' },
  );
}
