import { ClosedError } from '../errors/errors.js';
import { lock, unlock } from '../memory/robust-lock.js';
import { answerBlocked, onEveryRing } from '../wait/doorbell.js';
import type { Waiter, WakeOptions } from '../wait/line.js';
import {
  type LineWatch,
  type LineWatcher,
  type Parked,
  Parking,
  type ParkOptions,
  type ParkSyncOptions,
} from '../wait/parking.js';
import type { Extent, Home } from './home.js';
import { NamedFile, type Wanted } from './named-file.js';
import { HEADER, NODE, NODE_STATE } from './named-layout.js';
import { NamedLine } from './named-line.js';
import { Members } from './named-members.js';

/** How often a thread that waits looks for itself, ms: for deaths, and for wakes whose ring never came. */
const LOOK_EVERY = 50;

/** The memory of a name as one thread uses it. */
export class NamedHome implements Home {
  readonly words: Int32Array;
  readonly extent: Extent | undefined;
  readonly kind: string;
  readonly #name: string;
  readonly #file: NamedFile;
  readonly #members: Members;
  readonly #line: NamedLine;
  readonly #parking: Parking;
  #closed = false;
  /** What of HEADER.DEATHS all waits of this thread have been asked about. */
  #seenDeaths = 0;
  #seenWakes = 0;
  #looking: NodeJS.Timeout | undefined;
  #stopListening: (() => void) | undefined;

  /** @throws {NameInUseError | TimeoutError | OutOfMemoryError} */
  constructor(wanted: Wanted) {
    this.kind = wanted.kind;
    this.#name = wanted.name;
    let members: Members | undefined;
    this.#file = NamedFile.open(wanted, file => {
      members = new Members(file.words, () => this.#rejoin());
      members.join();
    });
    this.words = this.#file.words;
    this.extent = this.#file.extent;
    this.#members = members as unknown as Members;
    this.#line = new NamedLine(this.#members, () => this.#hear());
    const line = this.#line;
    this.#parking = new Parking({
      words: this.words,
      listen: how => this.#listen(how),
      enter: (word, expected, options, blocking) => {
        this.#seeToDeaths();
        return line.enter(word, expected, options, blocking);
      },
      isWaiting: node => line.isWaiting(node),
      withdraw: node => line.withdraw(node),
      take: node => line.take(node),
      orderOf: node => line.orderOf(node),
      wake: (word, count, options) => line.wake(word, count, options),
      block: (node, isOver, timeout) => this.#block(node, isOver, timeout),
    });
    this.#seenDeaths = Atomics.load(this.words, HEADER.DEATHS);
    this.#seeToDeaths();
  }

  self(): number {
    return this.#members.self();
  }

  readonly isKnownDead = (tag: number): boolean => this.#members.isKnownDead(tag);

  lock(word: number, recover: () => void): void {
    lock(word, recover, this.#members);
  }

  unlock(word: number): void {
    unlock(word, this.#members);
  }

  park(word: number, expected: number, options?: ParkOptions): Promise<Parked> {
    const parked = this.#parking.park(word, expected, options);
    this.#askAfterDeaths(); // a death that the caller had not heard of, and that was seen to as the wait began
    return parked;
  }

  parkSync(word: number, expected: number, options?: ParkSyncOptions): Parked {
    return this.#parking.parkSync(word, expected, options);
  }

  watch(word: number, expected: number, watcher: LineWatcher): LineWatch | undefined {
    return this.#parking.watch(word, expected, watcher);
  }

  wake(word: number, count: number, options?: WakeOptions): number {
    return this.#line.wake(word, count, options);
  }

  waiting(word: number): readonly Waiter[] {
    return this.#line.waiting(word);
  }

  someWait(word: number, matches: (waiter: Waiter) => boolean): boolean {
    return this.#line.someWait(word, matches);
  }

  #rejoin(): void {
    if (this.#closed)
      throw new ClosedError(
        `Cannot use the ${this.kind} "${this.#name}" as this thread has closed it: keep it open for as long as you use it`,
      );
    this.#file.alone(() => this.#members.join());
    this.#seenWakes = 0;
  }

  #listen(how: 'blocking' | 'async'): void {
    if (how === 'blocking') return;
    this.#members.showBell();
    this.#stopListening ??= onEveryRing(() => this.#hear());
    this.#looking ??= setInterval(() => this.#look(), LOOK_EVERY).unref();
  }

  /** Somebody rang: for us or another. */
  #hear(): void {
    if (this.#parking.size === 0) return;
    const { wakes } = this.#members;
    if (wakes !== this.#seenWakes) {
      this.#seenWakes = wakes;
      this.#parking.look();
    }
    this.#askAfterDeaths();
  }

  #look(): void {
    if (this.#parking.size === 0) {
      clearInterval(this.#looking);
      this.#looking = undefined;
      return;
    }
    this.#seeToDeaths();
    this.#parking.look(); // who woke one may have died before the ring
    this.#askAfterDeaths();
  }

  #block(node: number, isOver: () => boolean, timeout: number): boolean {
    const deadline = performance.now() + timeout;
    for (;;) {
      answerBlocked();
      this.#seeToDeaths();
      this.#askAfterDeaths();
      if (isOver()) return true;
      const left = deadline - performance.now();
      if (left <= 0) return false;
      this.#members.futexWait(node + NODE.STATE, NODE_STATE.WAITING, Math.min(left, LOOK_EVERY));
    }
  }

  /** Learns now and then who has ended, and does what is to be done about it. */
  #seeToDeaths(): void {
    if (this.#members.isTimeToAsk()) this.#members.markDead();
    const dead = this.#members.dead();
    if (dead.length === 0) return;
    for (const tag of dead) {
      this.#line.clear(tag);
      this.#members.giveBack(tag);
    }
    this.#members.dropDeadBells();
    this.#line.callAll();
  }

  /** Have there been deaths since all waits of this thread were asked whether they have something to wait for? */
  #askAfterDeaths(): void {
    const deaths = Atomics.load(this.words, HEADER.DEATHS);
    if (deaths === this.#seenDeaths) return;
    this.#seenDeaths = deaths;
    this.#members.dropDeadBells();
    this.#parking.lookAtAll();
  }

  /** This thread is done with it. Its waits end with ClosedError. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#parking.fail(
      new ClosedError(`Cannot wait any longer as the ${this.kind} "${this.#name}" was closed`),
    );
    this.leave();
    this.#file.close();
  }

  /** This thread ends, or is done with it: to the others it is as good as dead. */
  leave(): void {
    this.#stop();
    if (!this.#members.isJoined) return;
    const me = this.#members.self();
    this.#line.clear(me); // while still a member, as it takes the lock
    this.#members.mark(me);
    this.#members.giveBack(me);
    this.#line.callAll();
    this.#members.forget();
  }

  /** In a forked child: what was copied of the parent's membership is not ours. */
  forget(): void {
    this.#stop();
    this.#members.forget();
    this.#file.takeOver();
  }

  #stop(): void {
    this.#parking.forget();
    clearInterval(this.#looking);
    this.#looking = undefined;
    this.#stopListening?.();
    this.#stopListening = undefined;
  }
}
