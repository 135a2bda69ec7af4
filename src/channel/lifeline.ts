import { OutOfMemoryError } from '../errors/errors.js';
import { FAMILY, isAllocated, ownerIfAny, PROCESS_OWNER, receiverOf } from '../memory/allocator.js';
import { REASON } from '../memory/layout.js';
import { carries } from '../memory/message.js';
import { indexOf } from '../memory/participants.js';
import { type Cell, newNumber } from '../sync/cell.js';
import { type Holder, Holders } from '../sync/holders.js';
import { countOfDeaths, watchDeaths } from '../wait/deaths.js';
import { onDepart } from '../wait/depart.js';
import { onRing, ring } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';

/*
 * Who holds a queue, or the ends of a pipe: a table of holders (sync/holders.ts), of three sorts.
 *
 *   a thread that has the end            TAG: the thread    FLOW: 0
 *   a ticket: it is on its way           TAG: who sent it   FLOW: its serial number   LOW: the block it is bound to; 0: none
 *   a thread that had it and has let go   TAG: the thread    FLOW: 0    mode: KEEPER
 *
 * An entry counts as long as its thread lives, or its block is there. An end for which none counts is gone, and stays so: whoever
 * comes to hold one must find an entry that counts, under the table's lock. Who gives up the last one says that the end is
 * gone, and then takes its entry out: so the pipe is there until that has been done. An end whose holders have died is
 * gone without a word; all who wait look after each death.
 *
 * Who lets go while others have it stays in the table as a keeper: should they all be killed, it frees the memory. Nobody
 * touches the table who is not in it, and it is not freed before nobody alive is. The first to find that nobody has it any more
 * is the chief keeper: it rings the others, who then leave the table, and frees the memory when they have, or have died. If it
 * dies, the next to look is chief.
 */

/** More entries than this, and those of the dead are cleared away before another is made. */
const FEW = 16;
/** The mode of those who have it no more, and whom its memory waits for: they free it should all others be killed. */
const KEEPER = 3;
/** LOW of the chief among them. */
const CHIEF = 1;

/** Blocks that a child of this process, or its result, is made of: see onProcessOwner(). */
type Judge = (owner: number, handle: number) => boolean;
let judge: Judge = () => true;

/** Tells whether a block with such an owner, PROCESS_OWNER and more, still has a reader to come. */
export function onProcessOwner(judging: Judge): void {
  judge = judging;
}

/** The ticket that stands for all that this thread has lent, and how often it has. */
interface Loan {
  readonly serial: number;
  count: number;
}

/** What follows when ends are gone. */
export interface Consequences {
  /** Nobody has this end any more. Called under the table's lock, perhaps more than once. */
  gone?(end: number): void;
  /** Nobody has any. Called once, after all else. */
  empty(): void;
}

/** What this thread let go of before others did, by the index of its cell's first word. */
const keeping = new Map<number, Lifeline>();
let isListening = false;

function listen(): void {
  if (isListening) return;
  isListening = true;
  watchDeaths();
  onRing(REASON.DEATH, () => {
    for (const lifeline of [...keeping.values()]) lifeline.look();
  });
}

onDepart(() => {
  for (const lifeline of [...keeping.values()]) lifeline.leave();
  return false;
});

onFork(() => ({ take: () => keeping.clear() }));

export class Lifeline {
  readonly #cell: Cell;
  readonly #holders: Holders;
  readonly #then: Consequences;
  /** What is lent of each end. */
  readonly #loans: (Loan | undefined)[] = [];
  /** How many deaths there had been when each end was last seen held. */
  readonly #seen: number[];

  /** `ends`: 1 or 2. */
  constructor(cell: Cell, at: number, ends: number, consequences: Consequences) {
    this.#cell = cell;
    this.#seen = new Array(ends).fill(-1);
    this.#holders = new Holders(cell.words, at);
    this.#then = consequences;
  }

  /** Sets up the table of a new pipe, in so many bytes. */
  static prepare(words: Int32Array, at: number, bytes: number): void {
    Holders.prepare(words, at, bytes);
  }

  get blocks(): number[] {
    return this.#holders.blocks;
  }

  /** Nobody has this end of a new pipe yet: from now on this thread does. */
  found(end: number): void {
    this.#locked(() => this.#add(end, 0));
  }

  /**
   * This thread has received the end by a ticket with this number, or, if it is 0, by a loan, and holds it from now on. False: it is gone.
   * @throws {OutOfMemoryError}
   */
  join(end: number, serial: number): boolean {
    return this.#locked(() => {
      if (!this.#isHeld(end)) return false;
      const me = this.#cell.home.self();
      if (this.#find(({ tag, flow }) => tag === me && flow === 0, end) === 0) this.#add(end, 0);
      // One that is bound to nothing has been used up.
      const ticket = serial === 0 ? 0 : this.#find(({ flow, low }) => flow === serial && low === 0, end);
      if (ticket !== 0) this.#holders.remove(ticket);
      return true;
    });
  }

  /** In a forked process: the same, by a ticket that its parent has issued for it. What that had lent is its own affair. */
  inherit(end: number, serial: number): void {
    this.#loans.length = 0;
    this.#seen[end] = -1;
    this.join(end, serial);
  }

  /** This thread has the end no more. `keeps`: false if it ends now, so that its memory cannot wait for it. */
  letGo(end: number, keeps = true): void {
    const me = this.#cell.home.self();
    this.#takeOut(end, ({ tag, flow }) => tag === me && flow === 0, keeps);
  }

  /** Enters a ticket of this thread, which must hold the end. @throws {OutOfMemoryError} */
  issue(end: number, serial: number): void {
    this.#locked(() => this.#add(end, serial));
  }

  /** Has the end held open, as by a ticket of this thread, until as many calls of redeem(). */
  lend(end: number): void {
    const loan = this.#loans[end] ?? { serial: newNumber(), count: 0 };
    if (loan.count === 0) this.issue(end, loan.serial);
    loan.count++;
    this.#loans[end] = loan;
  }

  redeem(end: number): void {
    const loan = this.#loans[end];
    if (loan !== undefined && --loan.count === 0) this.withdraw(end, loan.serial);
  }

  /** Binds it to a block, which must begin with its number already. */
  bind(end: number, serial: number, handle: number): void {
    this.#locked(() => {
      const entry = this.#find(({ flow }) => flow === serial, end);
      if (entry !== 0) this.#holders.setLow(entry, handle);
    });
  }

  /** Takes a ticket back that still counts. */
  withdraw(end: number, serial: number): void {
    this.#takeOut(end, ({ flow }) => flow === serial);
  }

  /** Has nobody this end any more? To be asked by one who has the other. Cheap unless somebody has died since it was asked last. */
  isGone(end: number): boolean {
    const deaths = countOfDeaths();
    if (this.#seen[end] === deaths) return false;
    const isHeld = this.#locked(() => {
      if (this.#isHeld(end)) return true;
      this.#then.gone?.(end);
      return false;
    });
    if (isHeld) this.#seen[end] = deaths;
    return !isHeld;
  }

  #takeOut(end: number, which: (holder: Holder) => boolean, keeps = true): void {
    const left = this.#locked(() => {
      const entry = this.#find(which, end);
      if (entry === 0) return undefined;
      const others = this.#find(holder => !which(holder) && this.#counts(holder), end);
      if (others === 0) this.#then.gone?.(end);
      this.#holders.remove(entry);
      return this.#settle({ keeps });
    });
    this.#conclude(left);
  }

  /** This thread let go before others, who may have died since. */
  look(): void {
    this.#conclude(this.#locked(() => this.#settle()));
  }

  /** This thread ends: others keep it, if anyone. */
  leave(): void {
    const left = this.#locked(() => {
      const stays = this.#isHeldAtAll();
      const keepers = this.#settle({ keeps: false });
      return stays ? undefined : keepers;
    });
    this.#conclude(left);
  }

  /**
   * Under the lock, after somebody let go: as long as others have it, this thread keeps it, to free it should they be killed. Else
   * the tags of those who keep it besides; undefined: it stays.
   */
  #settle({ keeps = true } = {}): number[] | undefined {
    const me = this.#cell.home.self();
    const mine = this.#holders.find(({ tag, mode }) => tag === me && mode === KEEPER);
    const stays = this.#isHeldAtAll();
    if (stays && keeps) {
      const isMine = this.#holders.find(({ tag, flow, mode }) => tag === me && flow === 0 && mode !== KEEPER);
      if (mine === 0 && isMine === 0) this.#keep();
      return undefined;
    }
    const others = stays
      ? []
      : this.#holders
          .all()
          .filter(({ tag, mode }) => mode === KEEPER && tag !== me && !this.#cell.home.isKnownDead(tag));
    if (others.length > 0 && keeps && others.every(({ low }) => low !== CHIEF)) {
      const entry = mine === 0 ? this.#keep() : mine;
      if (entry !== 0) this.#holders.setLow(entry, CHIEF);
    } else {
      if (mine !== 0) this.#holders.remove(mine);
      keeping.delete(this.#cell.at);
    }
    return stays ? undefined : others.map(({ tag }) => tag);
  }

  /** Enters this thread as a keeper. 0: there is no memory for that, and what it had stays until the family ends if the others are killed. */
  #keep(): number {
    let entry = 0;
    try {
      entry = this.#add(KEEPER - 1, 0);
    } catch (error) {
      if (error instanceof OutOfMemoryError) return 0;
      throw error;
    }
    keeping.set(this.#cell.at, this);
    listen();
    return entry;
  }

  /** Who dies here leaves what nobody has, and its memory until the family ends. */
  #conclude(keepers: number[] | undefined): void {
    if (keepers === undefined) return;
    if (keepers.length === 0) this.#then.empty();
    else for (const tag of keepers) ring(indexOf(tag), REASON.DEATH);
  }

  #isHeldAtAll(): boolean {
    return this.#seen.some((_, end) => this.#isHeld(end));
  }

  #add(end: number, serial: number): number {
    if (this.#holders.held > FEW) this.#holders.removeAll(holder => !this.#counts(holder));
    this.#holders.reserve(1, this.#cell);
    return this.#holders.add(this.#cell.home.self(), serial, { mode: end + 1, low: 0, high: 0 });
  }

  #isHeld(end: number): boolean {
    return this.#find(holder => this.#counts(holder), end) !== 0;
  }

  #find(which: (holder: Holder) => boolean, end: number): number {
    return this.#holders.find(holder => holder.mode === end + 1 && which(holder));
  }

  #counts({ tag, flow, low }: Holder): boolean {
    if (flow === 0 || low === 0) return !this.#cell.home.isKnownDead(tag);
    return this.#isThere(low >>> 0, flow);
  }

  /** Is the block there, begins with that number, and will somebody read it? */
  #isThere(handle: number, serial: number): boolean {
    for (;;) {
      if (!isAllocated(handle) || !carries(handle, serial)) return false;
      const owner = ownerIfAny(handle);
      if (owner === 0) return false;
      if (this.#willBeRead(handle, owner)) return true;
      // A thread may have passed it on just before it died.
      if (ownerIfAny(handle) === owner) return false;
    }
  }

  #willBeRead(handle: number, owner: number): boolean {
    if (owner === FAMILY) return true;
    if (owner >= PROCESS_OWNER) return judge(owner, handle);
    if (owner > 0) return !this.#cell.home.isKnownDead(owner);
    const receiver = receiverOf(owner);
    return receiver === 0 || !this.#cell.home.isKnownDead(receiver);
  }

  #locked<R>(fn: () => R): R {
    const { home } = this.#cell;
    const { lock } = this.#holders;
    home.lock(lock, () => this.#holders.recount());
    try {
      return fn();
    } finally {
      home.unlock(lock);
    }
  }
}
