import type { Owner } from './owner.js';

/** So many of the dead are known by name. */
const MOST_NAMES = 16;
const OTHERS = 'others';

/** Who owes how many calls of taskDone(). */
export class Debts {
  readonly #owed = new Map<Owner, number>();
  /** How many are owed by those that will not pay, by name; those of long ago together. */
  readonly #lost = new Map<string, number>();
  #total = 0;

  /** What all owe. */
  get total(): number {
    return this.#total;
  }

  /** Is there somebody who owes, and may yet pay? */
  get canBePaid(): boolean {
    return this.#owed.size > 0;
  }

  incur(owner: Owner, count: number): void {
    this.#total += count;
    change(this.#owed, owner, count);
  }

  owes(owner: Owner): boolean {
    return this.#owed.has(owner);
  }

  /** Pays for one: this client's debt, or else one that nobody is left to pay, or else any. False: nobody owes anything. */
  pay(owner: Owner): boolean {
    if (this.#total === 0) return false;
    this.#total--;
    if (this.#owed.has(owner)) change(this.#owed, owner, -1);
    else if (this.#lost.size > 0) change(this.#lost, first(this.#lost), -1);
    else change(this.#owed, first(this.#owed), -1);
    return true;
  }

  /** What this one owes it will not pay. */
  forsake(owner: Owner): void {
    const count = this.#owed.get(owner);
    if (count === undefined) return;
    this.#owed.delete(owner);
    change(this.#lost, owner.name, count);
    if (this.#lost.size <= MOST_NAMES) return;
    const [name, before] = [...this.#lost].find(([other]) => other !== OTHERS) as [string, number];
    this.#lost.delete(name);
    change(this.#lost, OTHERS, before);
  }

  /** So many items that this one got are back: nobody owes anything for them. */
  remit(owner: Owner, count: number): void {
    for (let i = 0; i < count; i++) {
      if (this.#owed.has(owner)) change(this.#owed, owner, -1);
      else return; // others have paid
      this.#total--;
    }
  }

  /** Those who owe, and may yet pay. */
  get owners(): Iterable<Owner> {
    return this.#owed.keys();
  }

  /** Who will not pay, for messages. */
  get debtors(): string {
    return [...this.#lost].map(([name, count]) => `${count} by ${name}`).join(', ');
  }
}

function change<K>(counts: Map<K, number>, key: K, by: number): void {
  const count = (counts.get(key) ?? 0) + by;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}

function first<K>(counts: Map<K, number>): K {
  return counts.keys().next().value as K;
}
