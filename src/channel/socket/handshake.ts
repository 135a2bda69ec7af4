import { Buffer } from 'node:buffer';
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { AuthenticationError, EndOfFileError } from '../../errors/errors.js';
import type { FrameOwner, FrameSocket } from './frame-socket.js';

/*
 * How both ends of a connection prove to each other that they have the same key, as CPython's multiprocessing.connection does from
 * 3.12 on, byte for byte:
 *
 *   listener                                            who connects
 *   #CHALLENGE#{sha256}<40 random bytes>            →
 *                                                   ←   {sha256}<HMAC of what follows #CHALLENGE#>
 *   #WELCOME#, or #FAILURE# and the end             →
 *                                                   ←   #CHALLENGE#{sha256}<40 random bytes>
 *   {sha256}<HMAC>                                  →
 *                                                   ←   #WELCOME#, or #FAILURE# and the end
 *
 * Who asks need not have the key, so whoever connects answers anybody's question. To pass, a false listener would need the answer to the
 * question that it is asked then: it could ask just that of the next program that connects to it, and pass the answer on. So of
 * our 40 bytes the last 16 are an HMAC of the first 24 and of which side asks: to an asker without the key they are as random as
 * those, and nobody of ours answers a question that was asked by his own side. What no such handshake can prevent is somebody in
 * between who passes all on, from a true end to a true end: keep TCP to networks that are trusted, or to a tunnel.
 *
 * CPython up to 3.11 knows MD5 only. Its challenges are 20 bytes without the name of a digest, its answers 16 bytes.
 */
const CHALLENGE = Buffer.from('#CHALLENGE#');
const WELCOME = Buffer.from('#WELCOME#');
const FAILURE = Buffer.from('#FAILURE#');

/** No frame of a handshake is longer; so no stranger gets more memory. */
export const LONGEST_OF_STRANGERS = 256;

const PREFIX = Buffer.from('{sha256}');
const RANDOM_BYTES = 24;
const MARK_BYTES = 16;
const LEGACY_CHALLENGE = 20;
const LEGACY_ANSWER = 16;

/** The digests that CPython answers by, and the next longer one. */
const DIGESTS: Record<string, string> = {
  sha256: 'sha256',
  sha384: 'sha384',
  sha512: 'sha512',
  sha3_256: 'sha3-256',
  sha3_384: 'sha3-384',
};

export type Side = 'listens' | 'connects';

/** What a connection is proved by. */
export interface Credentials {
  readonly key: Uint8Array;
  /** Is MD5 good enough, as for CPython up to 3.11? */
  readonly allowMd5: boolean;
}

const PHASE = { ANSWER: 0, CHALLENGE: 1, VERDICT: 2, OVER: 3 } as const;
type Phase = (typeof PHASE)[keyof typeof PHASE];

/**
 * One handshake. Calls `done` once: without an error, when both ends have proved the key and `socket` is paused, to be given to
 * another owner; else with an AuthenticationError, or an EndOfFileError if the other end left without a word, and `socket` is closed.
 */
export class Handshake implements FrameOwner {
  readonly #socket: FrameSocket;
  readonly #side: Side;
  readonly #credentials: Credentials;
  readonly #done: (error?: Error) => void;
  #phase: Phase;
  /** What the other end is to answer. */
  #asked: Uint8Array = CHALLENGE;

  constructor(socket: FrameSocket, side: Side, credentials: Credentials, done: (error?: Error) => void) {
    this.#socket = socket;
    this.#side = side;
    this.#credentials = credentials;
    this.#done = done;
    this.#phase = side === 'listens' ? PHASE.ANSWER : PHASE.CHALLENGE;
    socket.maxLength = LONGEST_OF_STRANGERS;
    socket.owner = this;
    if (side === 'listens') this.#ask();
    socket.resume();
  }

  /** It is not wanted any more. */
  drop(): void {
    this.#phase = PHASE.OVER;
    this.#socket.close();
  }

  onFrame(bytes: Uint8Array): void {
    const message = Buffer.from(bytes); // a copy, and they are few
    try {
      if (this.#phase === PHASE.ANSWER) this.#judge(message);
      else if (this.#phase === PHASE.CHALLENGE) this.#answer(message);
      else if (this.#phase === PHASE.VERDICT) this.#hear(message);
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  onEnd(error?: Error): void {
    if (error && !(error instanceof EndOfFileError))
      this.#fail(
        new AuthenticationError(
          `Cannot ${this.#act} as what came from there is no handshake: see what program it is`,
          { cause: error },
        ),
      );
    else
      this.#fail(
        new EndOfFileError(
          `Cannot ${this.#act} as the other end has left in the midst of the handshake: see what became of it`,
        ),
      );
  }

  get #act(): string {
    return this.#side === 'listens' ? 'accept the connection' : 'connect';
  }

  #fail(error: Error): void {
    if (this.#phase === PHASE.OVER) return;
    this.#phase = PHASE.OVER;
    this.#socket.end(); // what tells of it may be on its way
    this.#done(error);
  }

  #succeed(): void {
    this.#phase = PHASE.OVER;
    this.#socket.pause();
    this.#socket.maxLength = Number.POSITIVE_INFINITY;
    this.#done();
  }

  #send(...parts: readonly Uint8Array[]): void {
    if (this.#socket.canSend) this.#socket.send(Buffer.concat(parts)); // else the end will be told
  }

  #ask(): void {
    const random = randomBytes(RANDOM_BYTES);
    this.#asked = Buffer.concat([PREFIX, random, mark(this.#credentials.key, this.#side, random)]);
    this.#phase = PHASE.ANSWER;
    this.#send(CHALLENGE, this.#asked);
  }

  /** The other end's answer. */
  #judge(answer: Buffer): void {
    const fault = this.#faultOf(answer);
    if (fault) {
      this.#send(FAILURE);
      throw new AuthenticationError(`Cannot ${this.#act} as ${fault}`);
    }
    this.#send(WELCOME);
    if (this.#side === 'listens') this.#phase = PHASE.CHALLENGE;
    else this.#succeed();
  }

  #faultOf(answer: Buffer): string | undefined {
    const isLegacy = answer.length === LEGACY_ANSWER;
    if (isLegacy && !this.#credentials.allowMd5) return `the other end answers ${MD5}`;
    const named = isLegacy ? undefined : digestOf(answer);
    const digest = isLegacy ? 'md5' : named?.digest;
    if (digest === undefined) return 'the answer of the other end is none: see what program it is';
    const expected = this.#mac(digest, this.#asked);
    const given = answer.subarray(named?.length ?? 0);
    if (given.length === expected.length && timingSafeEqual(given, expected)) return undefined;
    return 'the other end has another key: give both the same "authkey"';
  }

  /** The other end's challenge. */
  #answer(challenge: Buffer): void {
    if (!challenge.subarray(0, CHALLENGE.length).equals(CHALLENGE))
      throw new AuthenticationError(
        challenge.equals(FAILURE) ? this.#refused() : `Cannot ${this.#act} as ${NO_CHALLENGE}`,
      );
    const message = challenge.subarray(CHALLENGE.length);
    if (message.length < LEGACY_CHALLENGE)
      throw new AuthenticationError(`Cannot ${this.#act} as ${NO_CHALLENGE}`);
    this.#refuseOwn(message);
    if (message.length === LEGACY_CHALLENGE) this.#answerLegacy(message);
    else this.#answerBy(message);
    this.#phase = PHASE.VERDICT;
  }

  /** Refuses to answer what was asked by those who are on the same side. */
  #refuseOwn(message: Buffer): void {
    const random = message.subarray(PREFIX.length, PREFIX.length + RANDOM_BYTES);
    const marked = message.subarray(PREFIX.length + RANDOM_BYTES);
    if (marked.length !== MARK_BYTES) return;
    if (!timingSafeEqual(marked, mark(this.#credentials.key, this.#side, random))) return;
    throw new AuthenticationError(
      `Cannot ${this.#act} as the other end passes on the challenge of a program that ${this.#side}, as this one: see who is in between`,
    );
  }

  #answerLegacy(message: Buffer): void {
    if (!this.#credentials.allowMd5)
      throw new AuthenticationError(`Cannot ${this.#act} as the other end asks ${MD5}`);
    this.#send(this.#mac('md5', message));
  }

  #answerBy(message: Buffer): void {
    const named = digestOf(message);
    if (!named)
      throw new AuthenticationError(
        `Cannot ${this.#act} as the other end asks for a digest that is not allowed: use one of ${Object.keys(DIGESTS).join(', ')}`,
      );
    this.#send(message.subarray(0, named.length), this.#mac(named.digest, message));
  }

  /** What the other end thinks of our answer. */
  #hear(verdict: Buffer): void {
    if (!verdict.equals(WELCOME)) throw new AuthenticationError(this.#refused());
    if (this.#side === 'connects') this.#ask();
    else this.#succeed();
  }

  #refused(): string {
    return `Cannot ${this.#act} as the other end takes the key for wrong: give both the same "authkey"`;
  }

  #mac(digest: string, message: Uint8Array): Buffer {
    try {
      return createHmac(digest, this.#credentials.key).update(message).digest();
    } catch (cause) {
      throw new AuthenticationError(
        `Cannot ${this.#act} as ${digest} cannot be had of this Node: have both ends use another digest`,
        { cause },
      );
    }
  }
}

const NO_CHALLENGE = 'what came from the other end is no challenge: see what program it is';
const MD5 = 'with MD5, as CPython up to 3.11 does: update it, or set "allowMd5" if that is good enough';

/** Which side asks, as those who have the key can tell. */
function mark(key: Uint8Array, side: Side, random: Uint8Array): Buffer {
  return createHmac('sha256', key)
    .update(`manyhands ${side} `)
    .update(random)
    .digest()
    .subarray(0, MARK_BYTES);
}

/** The digest that is named in braces at the start, and how long that is. */
function digestOf(message: Buffer): { digest: string; length: number } | undefined {
  if (message[0] !== OPEN) return undefined;
  const end = message.indexOf(CLOSE);
  const name = message.toString('latin1', 1, Math.max(end, 1));
  const digest = Object.hasOwn(DIGESTS, name) ? DIGESTS[name] : undefined;
  return digest === undefined ? undefined : { digest, length: end + 1 };
}

const OPEN = 0x7b;
const CLOSE = 0x7d;
