import { type AnyNumber, accept, acceptAddend, beyond, type Type } from './types.js';

/**
 * The numbers of one type as they lie in shared memory, and what can be done with one in a single step. Without locks: a step is
 * one atomic operation, or compare-and-swap until nobody came between, so who dies or is stopped keeps nobody waiting.
 */
export interface Numbers<N> {
  load(): N;
  store(value: N): void;
  /** Returns what was there before. */
  add(n: N): N;
  /** Returns what was there before. */
  compareExchange(expected: N, next: N): N;
}

/* To see the bits of a float. Nothing runs between the two uses. */
const scratch = new ArrayBuffer(8);
const double = new Float64Array(scratch);
const single = new Float32Array(scratch);
const word = new Int32Array(scratch);
const long = new BigInt64Array(scratch);

/** The commons as 64-bit integers. */
let longs: BigInt64Array | undefined;
let unsignedLongs: BigUint64Array | undefined;

/** A number of the type, at two words from `at`, an even index. */
export function numbersAt(type: Type, words: Int32Array, at: number): Numbers<AnyNumber> {
  const numbers =
    type.kind === 'integer'
      ? new Integer(type, words, at)
      : type.kind === 'boolean'
        ? new Truth(type, words, at)
        : type.kind === 'single'
          ? new Single(type, words, at)
          : wide(type, words, at / 2);
  return numbers as Numbers<AnyNumber>;
}

function wide(type: Type, { buffer }: Int32Array, at: number): Double | Long {
  longs ??= new BigInt64Array(buffer);
  if (type.kind === 'double') return new Double(type, longs, at);
  if (type.bigMin < 0n) return new Long(type, longs, at);
  unsignedLongs ??= new BigUint64Array(buffer);
  return new Long(type, unsignedLongs, at);
}

/** As compareExchange() compares, so that its result tells by `===` whether it did anything; and NaN equals NaN. */
function isSame(a: number, b: number): boolean {
  return a === b || (Number.isNaN(a) && Number.isNaN(b));
}

/** Of up to 32 bits, each in a word of its own. */
class Integer implements Numbers<number> {
  readonly #type: Type;
  readonly #words: Int32Array;
  readonly #at: number;
  readonly #unsigned: boolean;

  constructor(type: Type, words: Int32Array, at: number) {
    this.#type = type;
    this.#words = words;
    this.#at = at;
    this.#unsigned = type.min === 0;
  }

  #read(bits: number): number {
    return this.#unsigned ? bits >>> 0 : bits;
  }

  load(): number {
    return this.#read(Atomics.load(this.#words, this.#at));
  }

  store(value: number): void {
    accept(this.#type, value);
    Atomics.store(this.#words, this.#at, value | 0);
  }

  add(n: number): number {
    const type = this.#type;
    acceptAddend(type, n);
    for (;;) {
      const bits = Atomics.load(this.#words, this.#at);
      const old = this.#read(bits);
      const sum = old + n;
      if (sum < type.min || sum > type.max) throw beyond(type, old, n);
      if (Atomics.compareExchange(this.#words, this.#at, bits, sum | 0) === bits) return old;
    }
  }

  compareExchange(expected: number, next: number): number {
    accept(this.#type, expected);
    accept(this.#type, next);
    return this.#read(Atomics.compareExchange(this.#words, this.#at, expected | 0, next | 0));
  }
}

class Truth implements Numbers<boolean> {
  readonly #type: Type;
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(type: Type, words: Int32Array, at: number) {
    this.#type = type;
    this.#words = words;
    this.#at = at;
  }

  load(): boolean {
    return Atomics.load(this.#words, this.#at) !== 0;
  }

  store(value: boolean): void {
    accept(this.#type, value);
    Atomics.store(this.#words, this.#at, value ? 1 : 0);
  }

  add(n: boolean): boolean {
    acceptAddend(this.#type, n); // which throws
    return n;
  }

  compareExchange(expected: boolean, next: boolean): boolean {
    accept(this.#type, expected);
    accept(this.#type, next);
    return Atomics.compareExchange(this.#words, this.#at, expected ? 1 : 0, next ? 1 : 0) !== 0;
  }
}

/** Of 64 bits. */
class Long implements Numbers<bigint> {
  readonly #type: Type;
  readonly #longs: BigInt64Array | BigUint64Array;
  readonly #at: number;

  constructor(type: Type, longs: BigInt64Array | BigUint64Array, at: number) {
    this.#type = type;
    this.#longs = longs;
    this.#at = at;
  }

  load(): bigint {
    return Atomics.load(this.#longs, this.#at);
  }

  store(value: bigint): void {
    accept(this.#type, value);
    Atomics.store(this.#longs, this.#at, value);
  }

  add(n: bigint): bigint {
    const type = this.#type;
    acceptAddend(type, n);
    for (;;) {
      const old = this.#longs[this.#at]; // no atomic one: what it is, the exchange will tell
      const sum = old + n;
      if (sum < type.bigMin || sum > type.bigMax) {
        const sure = this.load();
        if (sure === old) throw beyond(type, old, n);
      } else if (Atomics.compareExchange(this.#longs, this.#at, old, sum) === old) return old;
    }
  }

  compareExchange(expected: bigint, next: bigint): bigint {
    accept(this.#type, expected);
    accept(this.#type, next);
    return Atomics.compareExchange(this.#longs, this.#at, expected, next);
  }
}

/** A float of 64 bits: compare-and-swap on these. */
class Double implements Numbers<number> {
  readonly #type: Type;
  readonly #longs: BigInt64Array;
  readonly #at: number;

  constructor(type: Type, longs: BigInt64Array, at: number) {
    this.#type = type;
    this.#longs = longs;
    this.#at = at;
  }

  load(): number {
    long[0] = Atomics.load(this.#longs, this.#at);
    return double[0];
  }

  store(value: number): void {
    accept(this.#type, value);
    double[0] = value;
    Atomics.store(this.#longs, this.#at, long[0]);
  }

  add(n: number): number {
    acceptAddend(this.#type, n);
    for (;;) {
      const bits = this.#longs[this.#at]; // no atomic one: what it is, the exchange will tell
      long[0] = bits;
      const old = double[0];
      double[0] = old + n;
      if (Atomics.compareExchange(this.#longs, this.#at, bits, long[0]) === bits) return old;
    }
  }

  compareExchange(expected: number, next: number): number {
    accept(this.#type, expected);
    accept(this.#type, next);
    for (;;) {
      const bits = Atomics.load(this.#longs, this.#at);
      long[0] = bits;
      const old = double[0];
      if (!isSame(old, expected)) return old;
      double[0] = next;
      if (Atomics.compareExchange(this.#longs, this.#at, bits, long[0]) === bits) return old;
    }
  }
}

/** The same with 32 bits. */
class Single implements Numbers<number> {
  readonly #type: Type;
  readonly #words: Int32Array;
  readonly #at: number;

  constructor(type: Type, words: Int32Array, at: number) {
    this.#type = type;
    this.#words = words;
    this.#at = at;
  }

  load(): number {
    word[0] = Atomics.load(this.#words, this.#at);
    return single[0];
  }

  store(value: number): void {
    accept(this.#type, value);
    single[0] = value;
    Atomics.store(this.#words, this.#at, word[0]);
  }

  add(n: number): number {
    acceptAddend(this.#type, n);
    for (;;) {
      const bits = Atomics.load(this.#words, this.#at);
      word[0] = bits;
      const old = single[0];
      single[0] = old + n;
      if (Atomics.compareExchange(this.#words, this.#at, bits, word[0]) === bits) return old;
    }
  }

  compareExchange(expected: number, next: number): number {
    accept(this.#type, expected);
    accept(this.#type, next);
    const rounded = Math.fround(expected);
    for (;;) {
      const bits = Atomics.load(this.#words, this.#at);
      word[0] = bits;
      const old = single[0];
      if (!isSame(old, rounded)) return old;
      single[0] = next;
      if (Atomics.compareExchange(this.#words, this.#at, bits, word[0]) === bits) return old;
    }
  }
}
