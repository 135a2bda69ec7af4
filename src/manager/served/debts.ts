import type { Session } from './session.js';

/** Who owes how many calls of taskDone(). */
export class Debts {
  readonly #owed = new Map<Session, number>();
  /** By whom so many are owed that will not pay, by name. */
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

  incur(session: Session, count: number): void {
    this.#total += count;
    change(this.#owed, session, count);
  }

  owes(session: Session): boolean {
    return this.#owed.has(session);
  }

  /** Pays for one: this client's debt, or else one that nobody is left to pay, or else any. False: nobody owes anything. */
  pay(session: Session): boolean {
    if (this.#total === 0) return false;
    this.#total--;
    if (this.#owed.has(session)) change(this.#owed, session, -1);
    else if (this.#lost.size > 0) change(this.#lost, first(this.#lost), -1);
    else change(this.#owed, first(this.#owed), -1);
    return true;
  }

  /** What this one owes it will not pay. */
  forsake(session: Session): void {
    const count = this.#owed.get(session);
    if (count === undefined) return;
    this.#owed.delete(session);
    change(this.#lost, session.name, count);
  }

  /** So many items that this one got are back: nobody owes anything for them. */
  remit(session: Session, count: number): void {
    for (let i = 0; i < count; i++) {
      if (this.#owed.has(session)) change(this.#owed, session, -1);
      else if (this.#lost.has(session.name)) change(this.#lost, session.name, -1);
      else return; // others have paid
      this.#total--;
    }
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
