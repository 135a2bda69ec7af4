import { inspect } from 'node:util';
import { native } from '../native/native.js';
import { attach, words } from './commons.js';
import { AUTHKEY } from './layout.js';

/*
 * The key by which processes of one program know each other. The program's own is drawn by whichever of its processes needs it
 * first, into the commons, where all find it. A process, or thread, that is given another hands that on to those that it makes.
 */
const WORDS = 8;

let given: Uint8Array | undefined;

/** The key that this thread was given; undefined: it has the program's. */
export function givenAuthkey(): Uint8Array | undefined {
  return given;
}

/** In a new process or thread: its creator's. */
export function inheritAuthkey(key: Uint8Array | undefined): void {
  given = key;
}

/** @throws {TypeError} Those are no bytes. */
export function checkedAuthkey(key: unknown): Uint8Array {
  if (key instanceof Uint8Array) return new Uint8Array(key);
  throw new TypeError(`Cannot use ${inspect(key)} as "authkey": give bytes, as a Uint8Array`);
}

/** 32 random bytes. Each word is drawn by itself: whoever comes second, or after one who died over it, finds what is there. */
export function programAuthkey(): Uint8Array {
  attach();
  const key = new Int32Array(WORDS);
  for (let i = 0; i < WORDS; i++) {
    while (Atomics.load(words, AUTHKEY + i) === 0)
      Atomics.compareExchange(words, AUTHKEY + i, 0, (native.randomBits() % 2 ** 32) | 0);
    key[i] = Atomics.load(words, AUTHKEY + i);
  }
  return new Uint8Array(key.buffer);
}

/** The key that this thread's connections are proved by if they are given none: the one it was given, or the program's. */
export function ownAuthkey(): Uint8Array {
  return given ?? programAuthkey();
}
