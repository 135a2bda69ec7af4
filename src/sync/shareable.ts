import { TimeoutError } from '../errors/errors.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { Cell } from './cell.js';
import { BlockedWatch, NOTE_KIND_SHIFT, type Owner, registerBlockers, watchWait } from './deadlocks.js';
import { Entered, EnteredList } from './entered.js';
import { Flow, type Holding } from './flow.js';
import type { Guard, Guarded } from './guard.js';
import { type Grant, type Holder, Holders } from './holders.js';
import { nowGivenBack, nowHeld } from './holding.js';
import { commons } from './home.js';
import { nameOf } from './naming.js';
import { SharedObject } from './shared-object.js';

/*
 * What several may hold at once, by rules: permits of a semaphore, a lock for reading, rows of a table.
 *
 * Who holds what stands in a table (holders.ts). Who wants something takes the object's inner lock for a moment, and is entered if
 * the rules allow it; else it waits in line. After each release the one who released goes down the line, first come
 * first, and enters for those who wait what they are to get: so nobody overtakes one with whom it is in conflict.
 *
 * An entry bears the tag of the thread that holds it. What a dead one held is found when somebody else wants it, and each death
 * makes those who wait look.
 */

/** What a waiter is told when it is woken. */
const ENTERED = 1;
const CLOSED = 2;

/** The rules of a kind of object. */
export interface Rules {
  /** 1 and up; 0: who holds it is nobody in particular, so nothing can be said about deadlocks. */
  readonly kind: number;
  /** May this be held, besides what the table says and what is about to be granted? Default: nothing conflicts. */
  allows?(wanted: Grant, table: Holders, granted: readonly Grant[]): boolean;
  /** Do the two exclude each other, so that the later one has to stay behind the earlier one in line? */
  conflict(a: Grant, b: Grant): boolean;
  /** Is all in order when one dies who holds this? Default: no, so who comes next is told. */
  isHarmless?(grant: Grant): boolean;
}

export abstract class Shareable extends SharedObject implements Guarded<Entered>, Holding {
  protected readonly holders: Holders;
  readonly #rules: Rules;
  readonly #recover = () => this.holders.recount();
  /** This thread's guards that are not released. */
  protected readonly guards = new EnteredList();

  constructor(cell: Cell, rules: Rules) {
    super(cell);
    this.#rules = rules;
    this.holders = new Holders(cell.words, cell.at);
  }

  /** Frees it, for all who have it; who waits for it is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere) return;
    if (this.cell.shared === undefined)
      this.cell.home.wake(this.holders.sequence, Number.POSITIVE_INFINITY, { token: CLOSED });
    while (this.guards.latest) this.forget(this.guards.latest);
    super[Symbol.dispose]();
  }

  protected override attached(): readonly number[] {
    return this.holders.blocks;
  }

  /** @internal */
  isHeldBy(flow: number): boolean {
    for (let guard = this.guards.latest; guard; guard = guard.below as Entered | undefined)
      if (guard.flow === flow) return true;
    return false;
  }

  /** @internal */
  takeBack(guard: Entered): void {
    this.forget(guard);
    if (!this.cell.isThere) return;
    this.lock();
    try {
      if (this.isEntered(guard)) {
        this.holders.remove(guard.place);
        this.grant();
      }
    } finally {
      this.unlock();
    }
  }

  /** Waits until `wanted` is granted. */
  protected obtain(wanted: Grant, options?: WaitOptions): Promise<Guard> {
    const flow = new Flow(this);
    return flow.startsAt(this.#obtain(wanted, flow, options));
  }

  async #obtain(wanted: Grant, flow: Flow, options: WaitOptions = {}): Promise<Entered> {
    const timeout = timeoutOf(options);
    const { signal } = options;
    signal?.throwIfAborted();
    this.check();
    const now = this.#enter(wanted, flow.id, false);
    if (now) return now;
    const deadline = performance.now() + timeout;
    const { home, shared } = this.cell;
    const lineage = flow.parent?.lineage() ?? [];
    for (let wasInLine = false; ; ) {
      const seen = this.#sequence();
      const guard = this.#enter(wanted, flow.id, wasInLine);
      if (guard) return guard;
      let forget: (() => void) | undefined;
      try {
        const { outcome, token } = await home.park(this.holders.sequence, seen, {
          timeout: timeout === 0 ? 0 : Math.max(deadline - performance.now(), 0),
          ...(signal ? { signal } : {}),
          first: wasInLine,
          note: this.#note(wanted),
          recheck: () => this.#isWorthwhile(wanted),
          queued: (node, fail) => {
            wasInLine = true;
            if (shared === undefined && this.#rules.kind > 0)
              forget = watchWait(node, { flow, lineage, deadline, fail, waitsFor: nameOf(this.cell, this) });
          },
        });
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        const given = outcome === 'woken' ? this.#given(wanted, flow.id, token) : undefined;
        if (given) return given;
      } finally {
        forget?.();
      }
    }
  }

  /** The same, blocking this thread. */
  protected obtainSync(wanted: Grant, flow: number, options?: { timeout?: number }): Guard {
    const timeout = timeoutOf(options);
    this.check();
    const now = this.#enter(wanted, flow, false);
    if (now) return now;
    const deadline = performance.now() + timeout;
    const { home, shared } = this.cell;
    const isWatched = shared === undefined && this.#rules.kind > 0;
    const watch = new BlockedWatch(nameOf(this.cell, this), deadline);
    for (let wasInLine = false; ; ) {
      const seen = this.#sequence();
      const guard = this.#enter(wanted, flow, wasInLine);
      if (guard) return guard;
      try {
        const { outcome, token } = home.parkSync(this.holders.sequence, seen, {
          timeout: timeout === 0 ? 0 : Math.max(deadline - performance.now(), 0),
          first: wasInLine,
          note: this.#note(wanted),
          recheck: () => this.#isWorthwhile(wanted),
          queued: node => {
            wasInLine = true;
            watch.begin(node);
          },
          ...(isWatched ? { looks: watch.looks } : {}),
        });
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        const given = outcome === 'woken' ? this.#given(wanted, flow, token) : undefined;
        if (given) return given;
      } finally {
        watch.end();
      }
    }
  }

  /** Takes it if that can be done without waiting. */
  protected obtainNow(wanted: Grant, flow: number): Guard | null {
    this.check();
    return this.#enter(wanted, flow, false) ?? null;
  }

  /** Is it still owed? Somebody else may have paid for it. */
  protected isEntered({ place, flow }: Entered): boolean {
    return this.holders.isOf(place, this.cell.home.self(), flow);
  }

  /** Enters for those who wait what the rules allow now. Needs the inner lock. */
  protected grant(): void {
    const { holders } = this;
    const { home } = this.cell;
    const waiting = home.waiting(holders.sequence);
    if (waiting.length === 0) return;
    holders.reserve(waiting.length, this.cell);
    const granted: Grant[] = [];
    const passedBy: Grant[] = [];
    home.wake(holders.sequence, waiting.length, {
      token: ENTERED,
      passOn: false, // the table says who got what
      choose: ({ note }) => {
        const wanted = grantIn(note);
        const stays = passedBy.some(earlier => this.#rules.conflict(earlier, wanted));
        if (!stays && this.#allows(wanted, granted)) {
          granted.push(wanted);
          return true;
        }
        passedBy.push(wanted);
        return false;
      },
      settle: woken => {
        for (const { tag, note } of woken) holders.add(tag, 0, grantIn(note));
      },
    });
  }

  /** Takes the object's inner lock, for a moment. */
  protected lock(): void {
    this.cell.home.lock(this.holders.lock, this.#recover);
  }

  protected unlock(): void {
    this.cell.home.unlock(this.holders.lock);
  }

  /** Runs with the inner lock held. */
  protected locked<T>(run: () => T): T {
    this.lock();
    try {
      return run();
    } finally {
      this.unlock();
    }
  }

  /** Gives back what the dead hold. Needs the inner lock. */
  protected reclaim(): boolean {
    return this.holders.reclaim(
      this.cell.home.isKnownDead,
      grant => this.#rules.isHarmless?.(grant) !== true,
    );
  }

  #allows(wanted: Grant, granted: readonly Grant[] = []): boolean {
    const rules = this.#rules;
    if (rules.allows) return rules.allows(wanted, this.holders, granted);
    if (granted.some(other => rules.conflict(other, wanted))) return false;
    return this.holders.find(holder => rules.conflict(holder, wanted)) === 0;
  }

  #sequence(): number {
    return Atomics.load(this.cell.words, this.holders.sequence);
  }

  /** Enters this thread if the rules and those in line allow it. */
  #enter(wanted: Grant, flow: number, overtakes: boolean): Entered | undefined {
    this.lock();
    try {
      if (!this.#mayEnter(wanted, overtakes)) {
        if (!this.reclaim()) return undefined;
        this.grant();
        if (!this.#mayEnter(wanted, overtakes)) return undefined;
      }
      this.holders.reserve(1, this.cell);
      return this.#guard(wanted, this.holders.add(this.cell.home.self(), flow, wanted), flow);
    } finally {
      this.unlock();
    }
  }

  #mayEnter(wanted: Grant, overtakes: boolean): boolean {
    if (!this.#allows(wanted)) return false;
    if (overtakes) return true;
    const waiting = this.cell.home.waiting(this.holders.sequence);
    return waiting.length === 0 || !waiting.some(({ note }) => this.#rules.conflict(grantIn(note), wanted));
  }

  /** What another has entered for a wait of this thread's. Undefined: it has not, so look again. */
  #given(wanted: Grant, flow: number, token: number): Entered | undefined {
    if (token === CLOSED || !this.cell.isThere) throw this.closed();
    if (token !== ENTERED) return undefined;
    return this.locked(() => {
      const me = this.cell.home.self();
      const place = this.holders.find(
        holder => holder.tag === me && holder.flow === 0 && isSame(holder, wanted),
      );
      if (place === 0) return undefined;
      this.holders.setFlow(place, flow);
      return this.#guard(wanted, place, flow);
    });
  }

  #guard(wanted: Grant, place: number, flow: number): Entered {
    const abandoned =
      this.holders.hasEstates && this.holders.settleEstates(estate => this.#rules.conflict(estate, wanted));
    const guard = new Entered(this, abandoned, place, flow);
    this.guards.add(guard);
    nowHeld();
    return guard;
  }

  /** A guard of this thread's is void. */
  protected forget(guard: Entered): void {
    this.guards.remove(guard);
    guard.lapse();
    nowGivenBack();
  }

  /** After somebody's death: is there nothing to do but wait? */
  #isWorthwhile(wanted: Grant): boolean {
    return !this.holders.hasDead(this.cell.home.isKnownDead) && !this.#allows(wanted);
  }

  #note({ mode, low, high }: Grant): readonly number[] {
    return [(this.#rules.kind << NOTE_KIND_SHIFT) | mode, low, high];
  }

  #tooLate(timeout: number): TimeoutError {
    return new TimeoutError(
      `Cannot acquire ${nameOf(this.cell, this)} as it was not to be had for ${timeout} ms: allow more time, or see who keeps it`,
    );
  }
}

const MODE_MASK = (1 << NOTE_KIND_SHIFT) - 1;

function grantIn(note: readonly number[]): Grant {
  return { mode: note[0] & MODE_MASK, low: note[1], high: note[2] };
}

function isSame(a: Grant, b: Grant): boolean {
  return a.mode === b.mode && a.low === b.low && a.high === b.high;
}

/** Lets deadlocks over objects of a kind be found: a wait is for those who hold what excludes it, or what excludes one that it stays behind. */
export function registerRules(rules: Rules): void {
  registerBlockers(rules.kind, (word, node): Owner[] => {
    const before: Grant[] = [];
    for (const waiter of commons.waiting(word) as readonly { node?: number; note: readonly number[] }[]) {
      before.push(grantIn(waiter.note));
      if (waiter.node === node) break;
    }
    const own = before.pop();
    if (!own) return [];
    const inTheWay = [own];
    for (const earlier of before.reverse())
      if (inTheWay.some(later => rules.conflict(earlier, later))) inTheWay.push(earlier);
    const table = new Holders(commons.words, word);
    return table.all().filter((holder: Holder) => inTheWay.some(wanted => rules.conflict(holder, wanted)));
  });
}
