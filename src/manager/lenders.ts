import type { Entry } from './table.js';

/** How long what somebody has lent who has ended is kept for who may claim it, ms. */
const GRACE = 60_000;
/** More claims than this that came before what they are for are not kept. */
const MOST_EARLY = 10_000;

/** What a lender has of its server. */
export interface Keeper {
  addReference(entry: Entry): void;
  dropReference(entry: Entry): void;
  /** Nothing is to be kept for it any more. */
  forget(lender: Lender): void;
}

/**
 * What a client has lent: objects that stay until somebody claims them, who may be quicker than the word of the lender. A claim finds
 * the object there as long as any proxy stands for it, or it is lent; so the first of several claims ends the loan.
 */
export class Lender {
  readonly token: string;
  readonly #keeper: Keeper;
  readonly #lent = new Map<number, Entry>();
  /** Claims that came before the word of the lender. */
  readonly #early = new Set<number>();
  /** The last serial number that it has lent by. */
  #last = 0;
  #grace: NodeJS.Timeout | undefined;

  constructor(token: string, keeper: Keeper) {
    this.token = token;
    this.#keeper = keeper;
    this.end(); // until it connects
  }

  /** It has connected. */
  begin(): void {
    clearTimeout(this.#grace);
  }

  lend(entry: Entry, serial: number): void {
    this.#last = Math.max(this.#last, serial);
    if (this.#early.delete(serial) || this.#lent.has(serial)) return;
    this.#lent.set(serial, entry);
    this.#keeper.addReference(entry);
  }

  claim(serial: number): void {
    const entry = this.#lent.get(serial);
    if (entry) {
      this.#lent.delete(serial);
      this.#keeper.dropReference(entry);
    } else if (serial > this.#last && this.#early.size < MOST_EARLY) this.#early.add(serial);
  }

  /** Its connection has ended. */
  end(): void {
    clearTimeout(this.#grace);
    this.#grace = setTimeout(() => this.expire(), GRACE).unref();
  }

  /** What nobody has claimed goes. */
  expire(): void {
    clearTimeout(this.#grace);
    for (const entry of this.#lent.values()) this.#keeper.dropReference(entry);
    this.#lent.clear();
    this.#keeper.forget(this);
  }
}
