import { TimeoutError } from '../errors/errors.js';
import { onBlock } from '../wait/doorbell.js';
import { onFork } from '../wait/forks.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { Cell } from './cell.js';
import { BlockedWatch, NOTE_KIND_SHIFT, type Owner, registerBlockers, watchWait } from './deadlocks.js';
import { Entered, EnteredList } from './entered.js';
import { Flow, type Holding, newFlowId } from './flow.js';
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
 * first, and enters for those who wait what they are to get: so nobody overtakes one with whom it is in conflict. Who leaves
 * the line with nothing does the same for those behind it.
 *
 * An entry bears the tag of the thread that holds it, and the number of the flow that does: 0, if that was asleep when another
 * entered it, and does not know yet. What a dead one held is found when somebody else wants it; and after each death those
 * who wait take it back and go down the line, as it may have been that one's turn to do so.
 */

/** What a waiter is told when it is woken. */
const ENTERED = 1;
const CLOSED = 2;

/** An async wait of this thread that has been given what it wants, and whose code has not gone on yet. */
interface Given {
  readonly wanted: Grant;
  /** Somebody has paid for it meanwhile, so that nothing is owed. */
  isPaid: boolean;
}

/** When a thread has more guards than that, and twice as many as were valid once, it looks for those that others have paid. */
const MANY_GUARDS = 64;

const withGiven = new Set<Shareable>();

// While it blocks, what its async waits have been given is of no use to anyone, and those behind, perhaps itself, wait for it.
onBlock(() => {
  for (const object of withGiven) object.passOnGiven();
});

// What the parent's waits have been given is the parent's.
onFork(() => ({
  take: () => {
    for (const object of withGiven) object.forgetGiven();
    withGiven.clear();
  },
}));

/** The rules of a kind of object. */
export interface Rules {
  /** 1 and up; 0: who holds it is nobody in particular, so nothing can be said about deadlocks. */
  readonly kind: number;
  /** May this be held, besides what the table says and what is about to be granted? Default: nothing conflicts. */
  allows?(wanted: Grant, table: Holders, granted: readonly Grant[]): boolean;
  /** Do the two exclude each other, so that the later one has to stay behind the earlier one in line? */
  conflict(a: Grant, b: Grant): boolean;
  /** Does it conflict with whatever else may be wanted? */
  isForOne(grant: Grant): boolean;
  /** Is all in order when one dies who holds this? Default: no, so who comes next is told. */
  isHarmless?(grant: Grant): boolean;
}

export abstract class Shareable extends SharedObject implements Guarded<Entered>, Holding {
  protected readonly holders: Holders;
  readonly #rules: Rules;
  readonly #recover = () => {
    if (this.cell.isThere) this.recount();
  };
  /** This thread's guards that are not released. */
  protected readonly guards = new EnteredList();
  #mostGuards = MANY_GUARDS;
  #willLook = false;
  readonly #given = new Set<Given>();

  constructor(cell: Cell, rules: Rules) {
    super(cell);
    this.#rules = rules;
    const holders = new Holders(cell.words, cell.at);
    this.holders = holders;
    cell.attached = () => holders.blocks;
  }

  protected override facts(): object {
    return { held: this.holders.held };
  }

  /** Frees it, for all who have it; who waits for it is rejected with ClosedError. */
  override [Symbol.dispose](): void {
    if (!this.cell.isThere) return;
    for (let guard = this.guards.latest; guard; guard = this.guards.latest) {
      if (this.cell.shared) guard.release();
      else this.forget(guard);
    }
    super[Symbol.dispose]();
  }

  protected override farewell(): void {
    const { home } = this.cell;
    home.lock(this.holders.lock, this.#recover);
    this.holders.changed();
    home.wake(this.holders.sequence, Number.POSITIVE_INFINITY, { token: CLOSED, passOn: false });
    home.unlock(this.holders.lock);
  }

  /** @hidden Asked by flow.ts: does that flow of this thread hold it? */
  isHeldBy(flow: number): boolean {
    for (let guard = this.guards.latest; guard; guard = guard.below as Entered | undefined)
      if (guard.flow === flow) return true;
    return false;
  }

  /** @hidden Called by a guard that is released. */
  takeBack(guard: Entered): void {
    this.forget(guard);
    if (!this.cell.isThere || !this.#lock()) return;
    try {
      if (this.isEntered(guard)) {
        this.holders.remove(guard.place);
        this.grant();
      }
    } finally {
      this.#unlock();
    }
  }

  /** Waits until `wanted` is granted. */
  protected obtain(wanted: Grant, options?: WaitOptions): Promise<Guard> {
    if (this.#rules.kind === 0) return this.#obtain(wanted, newFlowId(), undefined, options);
    const flow = new Flow(this);
    return flow.startsAt(this.#obtain(wanted, flow.id, flow, options));
  }

  async #obtain(
    wanted: Grant,
    id: number,
    flow: Flow | undefined,
    options: WaitOptions = {},
  ): Promise<Entered> {
    const timeout = timeoutOf(options);
    const { signal } = options;
    signal?.throwIfAborted();
    const now = this.#enter(wanted, id, false);
    if (now) return now;
    if (timeout === 0) throw this.#tooLate(timeout);
    const deadline = performance.now() + timeout;
    const { home, shared } = this.cell;
    const lineage = flow?.parent?.lineage() ?? [];
    for (let wasInLine = false; ; ) {
      const seen = this.#sequence();
      const guard = this.#enter(wanted, id, wasInLine);
      if (guard) return guard;
      let forget: (() => void) | undefined;
      let isInLine = false;
      const given: Given = { wanted, isPaid: false };
      try {
        const { outcome, token } = await home.park(this.holders.sequence, seen, {
          timeout: Math.max(deadline - performance.now(), 0),
          ...(signal ? { signal } : {}),
          first: wasInLine,
          note: this.#note(wanted),
          recheck: () => this.#lookLater(),
          woken: how => {
            if (how === ENTERED) this.#noteGiven(given);
          },
          queued: (node, fail) => {
            isInLine = true;
            nowHeld(); // its place, for which others wait
            if (shared === undefined && flow)
              forget = watchWait(node, { flow, lineage, deadline, fail, waitsFor: nameOf(this.cell, this) });
          },
        });
        wasInLine ||= isInLine;
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        if (given.isPaid) return this.#owesNothing(id);
        const guard = outcome === 'woken' ? this.#takeGiven(wanted, id, token) : undefined;
        if (guard) return guard;
      } catch (error) {
        if (isInLine) this.#lookDownTheLine();
        throw error;
      } finally {
        if (isInLine) nowGivenBack();
        if (this.#given.delete(given) && this.#given.size === 0) withGiven.delete(this);
        forget?.();
      }
    }
  }

  /** The same, blocking this thread. */
  protected obtainSync(wanted: Grant, flow: number, options?: { timeout?: number }): Guard {
    const timeout = timeoutOf(options);
    return this.#enter(wanted, flow, false) ?? this.#waitSync(wanted, flow, timeout);
  }

  #waitSync(wanted: Grant, flow: number, timeout: number): Entered {
    if (timeout === 0) throw this.#tooLate(timeout);
    const deadline = performance.now() + timeout;
    const { home, shared } = this.cell;
    const isWatched = shared === undefined && this.#rules.kind > 0;
    const watch = new BlockedWatch(nameOf(this.cell, this), deadline);
    for (let wasInLine = false; ; ) {
      const seen = this.#sequence();
      const guard = this.#enter(wanted, flow, wasInLine);
      if (guard) return guard;
      let isInLine = false;
      try {
        const { outcome, token } = home.parkSync(this.holders.sequence, seen, {
          timeout: Math.max(deadline - performance.now(), 0),
          first: wasInLine,
          note: this.#note(wanted),
          recheck: () => this.#lookDownTheLine() && this.#unseen(wanted) === 0,
          queued: node => {
            isInLine = true;
            watch.begin(node);
          },
          ...(isWatched ? { looks: watch.looks } : {}),
        });
        wasInLine ||= isInLine;
        if (outcome === 'timeout') throw this.#tooLate(timeout);
        const guard = outcome === 'woken' ? this.#takeGiven(wanted, flow, token) : undefined;
        if (guard) return guard;
      } catch (error) {
        if (isInLine) this.#lookDownTheLine();
        throw error;
      } finally {
        watch.end();
      }
    }
  }

  /** Takes it if that can be done without waiting. */
  protected obtainNow(wanted: Grant, flow: number): Guard | null {
    return this.#enter(wanted, flow, false) ?? null;
  }

  /** Is it still owed? Somebody else may have paid for it. */
  protected isEntered({ place, flow }: Entered): boolean {
    return this.holders.isOf(place, this.cell.home.self(), flow);
  }

  /** Enters for those who wait what the rules allow now. Needs the inner lock. */
  protected grant(): void {
    if (this.cell.home.someWait(this.holders.sequence, anyone)) this.#grantInLine();
  }

  #grantInLine(): void {
    const { cell, holders } = this;
    const { home } = cell;
    const rules = this.#rules;
    const granted: Grant[] = [];
    const passedBy: Grant[] = [];
    home.wake(holders.sequence, Number.POSITIVE_INFINITY, {
      token: ENTERED,
      passOn: false, // the table says who got what
      choose: ({ note }) => {
        const wanted = grantIn(note);
        const stays = passedBy.some(earlier => rules.conflict(earlier, wanted));
        if (!stays && this.#allows(wanted, granted) && this.#hasRoom(granted.length + 1)) {
          granted.push(wanted);
          return true;
        }
        if (rules.isForOne(wanted)) return undefined;
        passedBy.push(wanted);
        return false;
      },
      settle: woken => {
        for (const { tag, note } of woken) holders.add(tag, 0, grantIn(note));
      },
    });
  }

  /** Runs with the inner lock held. @throws {ClosedError} */
  protected locked<T>(run: () => T): T {
    if (!this.#lock()) throw this.closed();
    try {
      return run();
    } finally {
      this.#unlock();
    }
  }

  /** Gives back what the dead hold. Needs the inner lock. */
  protected reclaim(): boolean {
    return this.holders.reclaim(
      this.cell.home.isKnownDead,
      grant => this.#rules.isHarmless?.(grant) !== true,
    );
  }

  /** The one who had the inner lock has died with it: brings all into order. Needs the lock. */
  protected recount(): void {
    this.holders.recount();
    this.holders.changed();
  }

  /** Was what a sleeper has been given paid for meanwhile? If so, that is settled now. Needs the inner lock. */
  protected isPaid(_place: number): boolean {
    return false;
  }

  /** Takes the object's inner lock, for a moment. False: it is gone. */
  #lock(): boolean {
    const { cell } = this;
    cell.home.lock(this.holders.lock, this.#recover);
    if (cell.isThere) return true;
    this.#unlock();
    return false;
  }

  #unlock(): void {
    this.cell.home.unlock(this.holders.lock);
  }

  #hasRoom(count: number): boolean {
    try {
      this.holders.reserve(count, this.cell);
      return true;
    } catch {
      return false; // so it waits on, until one has left the table
    }
  }

  #allows(wanted: Grant, granted: readonly Grant[] = NOTHING): boolean {
    const { holders } = this;
    const rules = this.#rules;
    if (rules.allows) return rules.allows(wanted, holders, granted);
    if (holders.held === 0 && granted.length === 0) return true;
    return !this.#conflicts(wanted, granted);
  }

  #conflicts(wanted: Grant, granted: readonly Grant[]): boolean {
    const rules = this.#rules;
    if (granted.some(other => rules.conflict(other, wanted))) return true;
    return this.holders.find(holder => rules.conflict(holder, wanted)) !== 0;
  }

  #sequence(): number {
    return Atomics.load(this.cell.words, this.holders.sequence);
  }

  /** Enters this thread if the rules and those in line allow it. */
  #enter(wanted: Grant, flow: number, overtakes: boolean): Entered | undefined {
    this.check();
    if (!this.#lock()) throw this.closed();
    try {
      if (!this.#mayEnter(wanted, overtakes)) {
        if (!this.reclaim()) return undefined;
        this.grant();
        if (!this.#mayEnter(wanted, overtakes)) return undefined;
      }
      this.holders.reserve(1, this.cell);
      return this.#guard(wanted, this.holders.add(this.cell.home.self(), flow, wanted), flow);
    } finally {
      this.#unlock();
    }
  }

  #mayEnter(wanted: Grant, overtakes: boolean): boolean {
    if (!this.#allows(wanted)) return false;
    return overtakes || !this.cell.home.someWait(this.holders.sequence, anyone) || !this.#isBehind(wanted);
  }

  /** Does anyone wait who has to be served first? */
  #isBehind(wanted: Grant): boolean {
    const rules = this.#rules;
    return this.cell.home.someWait(this.holders.sequence, ({ note }) =>
      rules.conflict(grantIn(note), wanted),
    );
  }

  /** What another has entered for a wait of this thread's. Undefined: it has not, so look again. */
  #takeGiven(wanted: Grant, flow: number, token: number): Entered | undefined {
    if (token === CLOSED) throw this.closed();
    if (token !== ENTERED) return undefined;
    return this.locked(() => {
      const place = this.#unseen(wanted);
      if (place === 0) return undefined; // who was about to enter it has died
      if (this.isPaid(place)) return this.#owesNothing(flow);
      this.holders.setFlow(place, flow);
      return this.#guard(wanted, place, flow);
    });
  }

  #owesNothing(flow: number): Entered {
    const guard = new Entered(this, false, 0, flow);
    guard.lapse();
    return guard;
  }

  #noteGiven(given: Given): void {
    this.#given.add(given);
    withGiven.add(this);
  }

  /** @internal In a forked process. */
  forgetGiven(): void {
    this.#given.clear();
  }

  /** @internal This thread blocks: takes back what its async waits have been given, which wait again then, and are first. */
  passOnGiven(): void {
    withGiven.delete(this);
    const all = [...this.#given];
    this.#given.clear();
    if (!this.cell.isThere || !this.#lock()) return;
    try {
      for (const given of all) {
        const place = this.#unseen(given.wanted);
        if (place === 0) continue;
        given.isPaid = this.isPaid(place);
        if (!given.isPaid) this.holders.remove(place);
      }
      this.grant();
    } finally {
      this.#unlock();
    }
  }

  /** Where this thread has been entered and has not seen it; 0: nowhere. */
  #unseen(wanted: Grant): number {
    const me = this.cell.home.self();
    return this.holders.find(holder => holder.tag === me && holder.flow === 0 && isSame(holder, wanted));
  }

  #guard(wanted: Grant, place: number, flow: number): Entered {
    const abandoned = this.holders.hasEstates && this.#inherits(wanted);
    const guard = new Entered(this, abandoned, place, flow);
    this.guards.add(guard);
    nowHeld();
    if (this.guards.size > this.#mostGuards) this.#forgetPaid();
    return guard;
  }

  /** Did one die who had something of this? Where all are alike, each death is told for one of them. */
  #inherits(wanted: Grant): boolean {
    const rules = this.#rules;
    return this.holders.settleEstates(estate => rules.conflict(estate, wanted), {
      onlyOne: rules.kind === 0,
    });
  }

  /** A guard of this thread's is void. */
  protected forget(guard: Entered): void {
    this.guards.remove(guard);
    guard.lapse();
    nowGivenBack();
  }

  #forgetPaid(): void {
    for (let guard = this.guards.oldest; guard; ) {
      const { above } = guard;
      if (!this.isEntered(guard)) this.forget(guard);
      guard = above;
    }
    this.#mostGuards = Math.max(MANY_GUARDS, this.guards.size * 2);
  }

  /** After somebody's death, or when one has left the line: does what that one may have had to do. False: it is gone. */
  #lookDownTheLine(): boolean {
    if (!this.cell.isThere || !this.#lock()) return false;
    try {
      this.reclaim();
      this.grant();
      return true;
    } finally {
      this.#unlock();
    }
  }

  /** The same soon, once for all async waits of this thread. */
  #lookLater(): boolean {
    if (!this.#willLook) {
      this.#willLook = true;
      queueMicrotask(() => {
        this.#willLook = false;
        this.#lookDownTheLine();
      });
    }
    return this.cell.isThere;
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
const NOTHING: readonly Grant[] = [];
const anyone = () => true;

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
