import { allocate, free, offsetOf, ownerWordAt, takeOver, transfer } from '../memory/allocator.js';
import { SYNC } from '../memory/layout.js';
import { self } from '../memory/participants.js';
import { haveAllLook } from '../wait/deaths.js';
import { commons, type Home } from './home.js';

/*
 * Where a shared object lies, and whether it is still there.
 *
 * A block of the commons belongs to the thread that made it until the object is first passed on: so what nobody else
 * knows goes with its maker, or when its maker has no more use for it. From then on it belongs to a number of its own, lives
 * until it is disposed of or the family ends, and a thread that still has an object disposed of elsewhere finds that
 * the block's owner has changed.
 */

/** How many numbers were given: one to each shared object of the family that was passed on, for example. */
const OBJECTS = SYNC;
const MOST_OBJECTS = 2 ** 30;
/** What no block's owner word ever holds. */
const GONE = -(2 ** 31);

/** A number from 1 to 2³⁰ − 1 that no other thread of the family is given (short of as many calls). */
export function newNumber(): number {
  self();
  return (Atomics.add(commons.words, OBJECTS, 1) & (MOST_OBJECTS - 1)) + 1;
}

/** Names a cell of the commons to another thread of the family. */
export type CellHandle = readonly [mark: number, ...blocks: number[]];

/** What comes before the words of an object that unrelated programs share: its proof, in a cache line of its own. */
export const NAMED_HEAD = 16;

/** Keeps account of who has an object that was passed on: it goes with the last of them. */
export interface Lifeline {
  /** This thread has it, and nobody else knows it yet. */
  found(): void;
  /** This thread has it no more. `ends`: it ends now, too. */
  letGo(ends?: { ends: boolean }): void;
  /** Before a fork, whose child will have it, too: holds it open for that, by this number. */
  issue(serial: number): void;
  /** In the child: has it from now on. */
  inherit(serial: number): void;
  /** In the parent, when the child has ended. */
  withdraw(serial: number): void;
}

/** What unrelated programs share. */
export interface Shared {
  readonly kind: string;
  readonly name: string;
  /** This thread is done with it. */
  leave(): void;
}

export class Cell {
  // Private, or whatever shows all fields of an object, such as what tells how two differ, would show all of the memory.
  readonly #home: Home;
  readonly #words: Int32Array;
  readonly #blocks: readonly number[];
  /** Undefined: what was passed on stays until it is disposed of, whoever has it. */
  lifeline: Lifeline | undefined = undefined;
  /** Blocks of the commons that hang on it. */
  attached: () => readonly number[] = () => [];
  /** Asked before it is freed: must others look again, once it is, whether what they wait for can still come? */
  concernsOthers: () => boolean = () => false;

  private constructor(
    home: Home,
    /** Index of its first word. */
    readonly at: number,
    /** While the object is there, `words[proof] === mark`. */
    readonly proof: number,
    public mark: number,
    /** Blocks of the commons that are its own, first that of its words. */
    blocks: readonly number[],
    /** Undefined: it lies in the commons. */
    readonly shared: Shared | undefined,
  ) {
    this.#home = home;
    this.#words = home.words;
    this.#blocks = blocks;
  }

  /** A new one: blocks of so many bytes, all zero, the first, a small one, for its words. @throws {OutOfMemoryError} */
  static make(...sizes: number[]): Cell {
    const me = self();
    const blocks: number[] = [];
    try {
      for (const size of sizes) blocks.push(allocate(size, { owner: me, zero: true }));
    } catch (error) {
      for (const block of blocks) free(block);
      throw error;
    }
    return new Cell(commons, offsetOf(blocks[0]) / 4, ownerWordAt(blocks[0]), me, blocks, undefined);
  }

  /** That of another thread. If it has been disposed of, it is not there. */
  static at([mark, ...blocks]: CellHandle): Cell {
    self();
    let at = 0;
    let proof = 0;
    try {
      at = offsetOf(blocks[0]) / 4;
      proof = ownerWordAt(blocks[0]);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
    return new Cell(commons, at, proof, proof === 0 ? GONE : mark, blocks, undefined);
  }

  /** One that unrelated programs share: NAMED_HEAD words of which the first is never 0, then its own. */
  static named(home: Home, at: number, shared: Shared): Cell {
    return new Cell(home, at + NAMED_HEAD, at, home.words[at], [], shared);
  }

  /** Where it lies. */
  get home(): Home {
    return this.#home;
  }

  get words(): Int32Array {
    return this.#words;
  }

  get isThere(): boolean {
    return this.#words[this.proof] === this.mark;
  }

  get isPassedOn(): boolean {
    return this.mark < 0 || this.shared !== undefined;
  }

  get blocks(): readonly number[] {
    return this.#blocks;
  }

  /** How it is named to another thread. From now on it belongs to nobody in particular. */
  passOn(): CellHandle {
    if (!this.isPassedOn) {
      this.lifeline?.found();
      const mark = -newNumber();
      for (const block of [...this.#blocks, ...this.attached()]) transfer(block, this.mark, mark);
      this.mark = mark;
    }
    return [this.mark, ...this.#blocks];
  }

  /**
   * Frees it, for all; what unrelated programs share, for this thread. `farewell` runs in between, when nobody takes it to be
   * there any more and its memory is still its own: tells those who wait.
   */
  free(farewell: () => void = () => {}): void {
    const { mark } = this;
    this.mark = GONE;
    this.shared?.leave();
    const me = self();
    // Others may be at it too: who gets the first block has it all.
    const [first, ...rest] = this.#blocks;
    if (first === undefined || !takeOver(first, mark, me)) return;
    farewell();
    const isAConcern = this.concernsOthers();
    const blocks = [...rest, ...this.attached()].filter(block => takeOver(block, mark, me));
    for (const block of [...blocks, first]) free(block);
    if (isAConcern) haveAllLook();
  }
}
