/**
 * What a number in shared memory is, as in ctypes or by its JavaScript name:
 *
 * | codes        | takes                                     |
 * | ------------ | ----------------------------------------- |
 * | `c`          | a byte, as an integer from 0 to 255       |
 * | `b` `i8`     | integers of 8 bits, `B` `u8` from 0 on    |
 * | `h` `i16`    | integers of 16 bits, `H` `u16` from 0 on  |
 * | `i` `i32`    | integers of 32 bits, `I` `u32` from 0 on  |
 * | `q` `i64`    | BigInts of 64 bits, `Q` `u64` from 0n on  |
 * | `f` `f32`    | any number, rounded to a float of 32 bits |
 * | `d` `f64`    | any number                                |
 * | `bool`       | true and false                            |
 */
export type TypeCode =
  | ('c' | 'b' | 'B' | 'h' | 'H' | 'i' | 'I' | 'q' | 'Q' | 'f' | 'd')
  | ('i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32' | 'i64' | 'u64' | 'f32' | 'f64')
  | 'bool';

/** What a type's numbers are in JavaScript: BigInts for 64-bit integers, booleans for `bool`, else numbers. */
export type NumberOf<C extends TypeCode> = C extends 'q' | 'Q' | 'i64' | 'u64'
  ? bigint
  : C extends 'bool'
    ? boolean
    : number;

/** The typed array for a type: what {@link SharedArray.view} gives. */
export type TypedArrayOf<C extends TypeCode> = C extends 'b' | 'i8'
  ? Int8Array
  : C extends 'c' | 'B' | 'u8' | 'bool'
    ? Uint8Array
    : C extends 'h' | 'i16'
      ? Int16Array
      : C extends 'H' | 'u16'
        ? Uint16Array
        : C extends 'i' | 'i32'
          ? Int32Array
          : C extends 'I' | 'u32'
            ? Uint32Array
            : C extends 'q' | 'i64'
              ? BigInt64Array
              : C extends 'Q' | 'u64'
                ? BigUint64Array
                : C extends 'f' | 'f32'
                  ? Float32Array
                  : Float64Array;

export type AnyNumber = NumberOf<TypeCode>;
export type AnyTypedArray = TypedArrayOf<TypeCode>;

/** How the numbers of a type are kept. */
export type Kind = 'integer' | 'big' | 'single' | 'double' | 'boolean';

type TypedArrayClass = {
  new (buffer: ArrayBuffer, offset: number, length: number): AnyTypedArray;
  readonly BYTES_PER_ELEMENT: number;
};

export interface Type {
  readonly code: TypeCode;
  readonly kind: Kind;
  /** Bounds of integers, of up to 32 bits and of 64. */
  readonly min: number;
  readonly max: number;
  readonly bigMin: bigint;
  readonly bigMax: bigint;
  readonly array: TypedArrayClass;
}

const types = new Map<unknown, Type>();

function define(codes: readonly TypeCode[], kind: Kind, array: TypedArrayClass, signed = true): void {
  const bits = 8 * array.BYTES_PER_ELEMENT;
  const bigMin = signed ? -(2n ** BigInt(bits - 1)) : 0n;
  const bigMax = 2n ** BigInt(signed ? bits - 1 : bits) - 1n;
  for (const code of codes)
    types.set(code, { code, kind, array, min: Number(bigMin), max: Number(bigMax), bigMin, bigMax });
}

define(['b', 'i8'], 'integer', Int8Array);
define(['c', 'B', 'u8'], 'integer', Uint8Array, false);
define(['h', 'i16'], 'integer', Int16Array);
define(['H', 'u16'], 'integer', Uint16Array, false);
define(['i', 'i32'], 'integer', Int32Array);
define(['I', 'u32'], 'integer', Uint32Array, false);
define(['q', 'i64'], 'big', BigInt64Array);
define(['Q', 'u64'], 'big', BigUint64Array, false);
define(['f', 'f32'], 'single', Float32Array);
define(['d', 'f64'], 'double', Float64Array);
define(['bool'], 'boolean', Uint8Array, false);

/** @throws {TypeError} There is no such type. */
export function typeOf(code: unknown): Type {
  const type = types.get(code);
  if (type) return type;
  const known = [...types.keys()].join(', ');
  throw new TypeError(
    `The type must be one of ${known}, not ${typeof code === 'string' ? `'${code}'` : named(code)}`,
  );
}

/**
 * Does nothing if `value` is one of the type's numbers.
 * @throws {TypeError} It is of another kind: a number where BigInts are kept, a string.
 * @throws {RangeError} It is out of range, or no integer where integers are kept.
 */
export function accept(type: Type, value: unknown): void {
  switch (type.kind) {
    case 'integer':
      if (typeof value === 'number' && value >= type.min && value <= type.max && Number.isInteger(value))
        return;
      break;
    case 'big':
      if (typeof value === 'bigint' && value >= type.bigMin && value <= type.bigMax) return;
      break;
    case 'boolean':
      if (typeof value === 'boolean') return;
      break;
    default:
      if (typeof value === 'number') return;
  }
  throw refusal(type, value);
}

/**
 * The same for what is added to one of its numbers: it may be out of range if only the sum is not.
 * @throws {TypeError} It is of another kind, or the type knows no sums.
 * @throws {RangeError} It is no integer where integers are kept.
 */
export function acceptAddend(type: Type, value: unknown): void {
  switch (type.kind) {
    case 'integer':
      if (Number.isInteger(value)) return;
      break;
    case 'big':
      if (typeof value === 'bigint') return;
      break;
    case 'boolean':
      throw new TypeError("Cannot add to a 'bool': set it, or use compareExchange()");
    default:
      if (typeof value === 'number') return;
  }
  throw refusal(type, value);
}

/** Why a sum is not stored. */
export function beyond(
  { code, kind, min, max, bigMin, bigMax }: Type,
  old: AnyNumber,
  n: AnyNumber,
): RangeError {
  const range = kind === 'big' ? `${bigMin}n to ${bigMax}n` : `${min} to ${max}`;
  return new RangeError(
    `Cannot add ${named(n)} to ${named(old)} as '${code}' goes from ${range}: it stays what it was; choose a wider type`,
  );
}

function refusal({ code, kind, min, max, bigMin, bigMax }: Type, value: unknown): Error {
  const start = `Cannot store ${named(value)} as '${code}', which takes`;
  switch (kind) {
    case 'integer': {
      const takes = `integers from ${min} to ${max}`;
      if (typeof value === 'bigint')
        return new TypeError(`${start} no BigInt but ${takes}: convert it by Number()`);
      if (typeof value !== 'number') return new TypeError(`${start} ${takes}: convert it first`);
      const advice =
        value >= min && value <= max ? 'round it first' : 'keep it in range, or choose another type';
      return new RangeError(`${start} ${takes}: ${advice}`);
    }
    case 'big': {
      const takes = `BigInts from ${bigMin}n to ${bigMax}n`;
      if (typeof value === 'bigint')
        return new RangeError(`${start} ${takes}: keep it in range, or choose another type`);
      return new TypeError(`${start} ${takes}: convert it by BigInt()`);
    }
    case 'boolean':
      return new TypeError(`${start} true and false: compare it with something`);
    default:
      return new TypeError(`${start} numbers: convert it by Number()`);
  }
}

function named(value: unknown): string {
  switch (typeof value) {
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return `${value}n`;
    case 'object':
      return value === null ? 'null' : 'an object';
    default:
      return `a ${typeof value}`;
  }
}
