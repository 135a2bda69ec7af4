import { BrokenBarrierError } from '../../errors/errors.js';
import { timeoutOf, type WaitOptions } from '../../wait/options.js';
import { Line } from './line.js';
import { caller } from './owner.js';

const MOST = 2 ** 31 - 1;

export interface ServedBarrierOptions {
  /** Run in the server by the last to arrive, before anyone leaves. Throws it, the barrier breaks. */
  action?: () => unknown;
  /** Of every wait() that gives none, ms. */
  timeout?: number;
}

/** Those who arrive together, but for the last: it does not wait. What each waits with is its place in the order. */
interface Round {
  readonly line: Line<number, number>;
  isBroken: boolean;
}

/** The barrier of a manager. */
export class ServedBarrier {
  readonly #parties: number;
  readonly #action: (() => unknown) | undefined;
  readonly #timeout: number | undefined;
  #round: Round = this.#newRound();
  /** Complete rounds whose action runs or is about to. */
  readonly #acting = new Set<Round>();
  /** Settles when the last of these actions has ended. */
  #lastAction: Promise<unknown> = Promise.resolve();
  #isBroken = false;

  constructor(parties: number, { action, timeout }: ServedBarrierOptions = {}) {
    if (typeof parties !== 'number')
      throw new TypeError(`Cannot make a Barrier of ${typeof parties}: give the number of parties`);
    if (!Number.isInteger(parties) || parties < 1 || parties > MOST)
      throw new RangeError(
        `Cannot make a Barrier of ${parties} parties: give a whole number from 1 to ${MOST}`,
      );
    if (action !== undefined && typeof action !== 'function')
      throw new TypeError(`Cannot use ${typeof action} as "action": give a function`);
    timeoutOf(timeout === undefined ? undefined : { timeout });
    this.#parties = parties;
    this.#action = action;
    this.#timeout = timeout;
  }

  parties(): number {
    return this.#parties;
  }

  waiting(): number {
    return this.#round.line.length;
  }

  broken(): boolean {
    return this.#isBroken;
  }

  wait(options?: WaitOptions): number | Promise<number> {
    const timeout = timeoutOf({ timeout: options?.timeout ?? this.#timeout });
    const owner = caller();
    if (this.#isBroken) throw brokenError();
    const round = this.#round;
    const index = round.line.length;
    if (index + 1 < this.#parties)
      return round.line.wait(owner, index, {
        timeout,
        signal: options?.signal,
        tooLate: () => {
          throw brokenError();
        },
      });
    this.#round = this.#newRound();
    if (this.#action) return this.#act(round, this.#action);
    pass(round);
    return index;
  }

  reset(): void {
    this.#breakRounds();
    this.#isBroken = false;
  }

  abort(): void {
    this.#isBroken = true;
    this.#breakRounds();
  }

  async #act(round: Round, action: () => unknown): Promise<number> {
    const index = round.line.length;
    this.#acting.add(round);
    const acted = this.#lastAction.then(() => {
      if (round.isBroken) throw brokenError();
      return action();
    });
    this.#lastAction = acted.catch(() => {});
    try {
      await acted;
    } catch (error) {
      if (!round.isBroken) this.abort();
      throw error;
    }
    if (round.isBroken) throw brokenError();
    this.#acting.delete(round);
    pass(round);
    return index;
  }

  #breakRounds(): void {
    const broken = [...this.#acting, this.#round];
    this.#acting.clear();
    this.#round = this.#newRound();
    for (const round of broken) {
      round.isBroken = true;
      for (const waiter of round.line.all) waiter.reject(brokenError());
    }
  }

  /** Breaks if one of it gives up. */
  #newRound(): Round {
    return { line: new Line(() => this.abort()), isBroken: false };
  }
}

function pass({ line }: Round): void {
  for (const waiter of line.all) waiter.resolve(waiter.note);
}

function brokenError(): BrokenBarrierError {
  return new BrokenBarrierError(
    'Cannot pass this Barrier as it is broken: reset() it once all parties can come again',
  );
}
