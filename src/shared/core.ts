import { CommonsSpace } from '../channel/commons-space.js';
import { NamedSpace } from '../channel/named-space.js';
import type { Space } from '../channel/space.js';
import { LifecycleError } from '../errors/errors.js';
import type { Cell } from '../sync/cell.js';
import type { Guard } from '../sync/guard.js';
import { LOCK, Lock } from '../sync/lock.js';
import { nameOf } from '../sync/naming.js';
import type { SharedObject } from '../sync/shared-object.js';
import { bytesOf } from './entry.js';
import { EntryHeap, type Live } from './entry-heap.js';

/*
 * What a shared map and a shared list have in common: one lock for those who change it, none for those who read, and a heap
 * (entry-heap.ts) of entries (entry.ts).
 *
 * SEQUENCE is odd while something is changed by several stores that others are to see as one, and grows whenever what readers find
 * their way by (a table) is replaced. It is never odd while code of the user runs. Who reads without the lock:
 *
 *   1. loads SEQUENCE: even, or nothing can be read now;
 *   2. finds the entry, loads the word that names it, its stamp (stampOf()), and that word again: the same, so the entry with this
 *      stamp is, or was just now, in use;
 *   3. copies what it needs;
 *   4. finds the word that names the entry, the stamp, and SEQUENCE unchanged, in this order: so it was in use all the while. Else again;
 *      and after a few times under the lock, which also heals what a dead writer left.
 *
 * BUSY is set while a change is under way, from before its first step until after its last: so who takes the lock and finds it set comes after
 * a death, and recovers. (A death within code of the user, in an update(), leaves nothing to recover.)
 */
export const CORE = {
  LOCK: 0,
  SEQUENCE: LOCK.WORDS,
  BUSY: 5,
  /** The block by which everything else is found; 0: there is nothing yet. */
  ROOT: 6,
  COUNT: 7,
  /** The latest version that was given. */
  VERSION_LOW: 8,
  VERSION_HIGH: 9,
  /** For the collection's own use. */
  OWN: 10,
  HEAP: 64,
  WORDS: 64 + EntryHeap.WORDS,
} as const;

/** How often a reader tries without the lock. */
export const TRIES = 5;

/**
 * Stands for the object that the lock is part of, and with which it would cross if anyone had it. Not that object itself: it is told apart by what goes
 * with its last reference, and the lock is among that.
 */
const WITHIN = {} as SharedObject;

/** The lock of a collection, called by the collection's name in messages. */
class CoreLock extends Lock {
  constructor(cell: Cell, type: unknown) {
    super(cell, WITHIN);
    Object.defineProperty(this, 'constructor', { value: type });
  }
}

function spaceOf(cell: Cell): Space {
  return cell.shared ? new NamedSpace(cell.home, cell.at + CORE.WORDS) : new CommonsSpace(cell);
}

export abstract class Core implements Live {
  readonly words: Int32Array;
  readonly at: number;
  readonly space: Space;
  readonly heap: EntryHeap;
  protected readonly cell: Cell;
  readonly lock: Lock;
  /** How often this thread has entered, and as whom. */
  #depth = 0;
  #me = 0;
  #guard: Guard | undefined;

  /**
   * `whole`: the object whose cell it is, which has CORE.WORDS words; behind them, if it has a name, those of NamedSpace. `words` and
   * `space`: for tests that have these differ.
   */
  constructor(whole: SharedObject, words: Int32Array = whole.cell.words, space: Space = spaceOf(whole.cell)) {
    const { cell } = whole;
    this.cell = cell;
    this.words = words;
    this.at = cell.at;
    this.space = space;
    this.heap = new EntryHeap(this.words, this.at + CORE.HEAP, this.space, this);
    this.lock = new CoreLock(cell, whole.constructor);
    cell.attached = () => [...this.heap.blocks(), ...this.blocks()];
  }

  /** All entries in use, in any order: those that the collection names. Under the lock. */
  abstract entries(): Int32Array;
  /** All blocks in use, besides those of the heap. Under the lock. */
  abstract blocks(): number[];
  /** Under the lock: brings all into order from whatever step a holder of it died at. Can be interrupted and done again. */
  abstract recover(): void;

  bytesOf(entry: number): number {
    return bytesOf(this.heap, entry);
  }

  /** Told as the lock has been taken, by an outermost enter(), and all is in order. */
  protected entered(): void {}

  /** Does this thread hold the lock, in an outer call? (In a forked child it is the parent that does.) */
  get isHeldHere(): boolean {
    return this.#depth > 0 && this.#me === this.cell.home.self();
  }

  /** Takes the lock, once more if need be; leave() must follow. @throws {ClosedError | DeadlockError} */
  enter(): void {
    if (this.isHeldHere) {
      this.#depth++;
      return;
    }
    const guard = this.lock.acquireSync();
    try {
      if (this.words[this.at + CORE.BUSY] !== 0) {
        this.recover();
        Atomics.store(this.words, this.at + CORE.BUSY, 0);
      }
      this.entered();
    } catch (error) {
      guard.release();
      throw error;
    }
    this.#guard = guard;
    this.#me = this.cell.home.self();
    this.#depth = 1;
  }

  leave(): void {
    if (--this.#depth > 0) return;
    const guard = this.#guard;
    this.#guard = undefined;
    guard?.release();
  }

  /**
   * Frees the collection by `free`: for all who have it, or if it has a name, for this thread. `calls`: those of its calls that run code
   * of the user.
   * @throws {LifecycleError} This thread is within one of these.
   */
  dispose(whole: SharedObject, calls: string, free: () => void): void {
    const { cell } = this;
    if (!cell.isThere) return;
    if (this.isHeldHere)
      throw new LifecycleError(
        `Cannot dispose of ${nameOf(cell, whole)} within its own ${calls}: do so afterwards`,
      );
    if (cell.shared === undefined) {
      try {
        this.enter(); // what a dead writer left is to be freed, too
      } catch (error) {
        if (!cell.isThere) return; // another was first
        throw error;
      }
      this.#close();
    }
    free();
  }

  /** The collection is about to be freed by this thread, which holds the lock: nobody reads any more what it was. */
  #close(): void {
    Atomics.or(this.words, this.at + CORE.SEQUENCE, 1);
    this.lock.close();
    this.#depth = 0;
    this.#guard = undefined;
  }

  /** A change begins, of which no code of the user is part. */
  begin(): void {
    Atomics.store(this.words, this.at + CORE.BUSY, 1);
  }

  /** It is done. */
  end(): void {
    this.heap.settled();
    Atomics.store(this.words, this.at + CORE.BUSY, 0);
  }

  /** A version that nothing has had before. Under the lock. */
  newVersion(): number {
    const w = this.words;
    const { at } = this;
    if (w[at + CORE.VERSION_LOW] === -1) w[at + CORE.VERSION_HIGH]++; // first, so that none comes again whoever dies between the two
    const low = (w[at + CORE.VERSION_LOW] + 1) | 0;
    w[at + CORE.VERSION_LOW] = low;
    return w[at + CORE.VERSION_HIGH] * 2 ** 32 + (low >>> 0);
  }

  /** How many there are: exact at an instant during the call. */
  count(): number {
    for (let i = 0; i < TRIES; i++)
      if (Atomics.load(this.words, this.at + CORE.BUSY) === 0)
        return Atomics.load(this.words, this.at + CORE.COUNT);
    this.enter();
    try {
      return this.words[this.at + CORE.COUNT];
    } finally {
      this.leave();
    }
  }
}
