import type { Guard } from '../../sync/guard.js';
import type { Grant } from './lock.js';

/** Over an acquisition by code of the server's own, as a method of another object that was given the lock. */
export class ServedGuard implements Guard {
  readonly abandoned: boolean;
  readonly #from: { giveBack(serial: number): void };
  readonly #serial: number;

  constructor(from: { giveBack(serial: number): void }, { serial, abandoned }: Grant) {
    this.#from = from;
    this.#serial = serial;
    this.abandoned = abandoned;
  }

  release(): void {
    this.#from.giveBack(this.#serial);
  }

  [Symbol.dispose](): void {
    this.release();
  }
}
