import { type InspectOptionsStylized, inspect } from 'node:util';
import { registerHandle } from '../codec/handles.js';
import { ClosedError } from '../errors/errors.js';
import { isSingleThreaded } from '../platform/single-threaded.js';
import { onDepart } from '../wait/depart.js';
import { all, type Bequest, onFork } from '../wait/forks.js';
import { Cell, type CellHandle, newNumber } from './cell.js';

/** What is known to the objects of this thread that stand for something shared: one each, so that `===` holds. */
const known = new Map<number | string, WeakRef<SharedObject>>();

/** All objects of this thread, by their cells, where it may be forked: the child has them, too. */
const live = isSingleThreaded ? new Map<Cell, WeakRef<SharedObject>>() : undefined;

/** A type of shared objects as the codec sees it: made anew, or standing for what is there. */
type Revived<T> = new (cell: Cell, extra: unknown) => T;

const collected = new FinalizationRegistry((cell: Cell) => {
  live?.delete(cell);
  const key = keyOf(cell);
  const here = known.get(key)?.deref();
  if (here === undefined) known.delete(key);
  // This thread has got it again meanwhile.
  else if (here.cell.mark === cell.mark) return;
  if (!cell.isThere) return;
  // Nobody else has ever heard of it, or this thread has no more use for what it shares with others.
  if (!cell.isPassedOn || cell.shared) cell.free();
  else cell.lifeline?.letGo();
});

// What only this thread has goes with it.
onDepart(() => {
  for (const object of [...known.values()]) {
    const cell = object.deref()?.cell;
    if (cell?.isThere) cell.lifeline?.letGo({ ends: true });
  }
  return false;
});

function keyOf(cell: Cell): number | string {
  return cell.shared ? `${cell.shared.kind} ${cell.shared.name}` : cell.blocks[0];
}

/**
 * An object in shared memory. Any thread or process of the program may have it: passed as an argument, captured by a
 * closure, or kept inside another value that crosses.
 *
 * One that was never passed on goes with its last reference. One that was stays until it is disposed of, or the program
 * with all its processes ends.
 */
export abstract class SharedObject implements Disposable {
  /** @internal */
  readonly cell: Cell;
  /** @internal The object that it is part of and whose cell it shares: it crosses with that, and goes with that. */
  readonly whole: SharedObject | undefined;

  constructor(cell: Cell, whole?: SharedObject) {
    this.cell = cell;
    this.whole = whole;
    if (whole !== undefined) return;
    collected.register(this, cell, this);
    live?.set(cell, new WeakRef(this));
  }

  /** @internal What is part of it, if anything is. */
  get inner(): SharedObject | undefined {
    return undefined;
  }

  /**
   * Frees it, for all who have it; a named one, for this thread. A second call does nothing, nor does a call on what is part
   * of another object.
   */
  [Symbol.dispose](): void {
    if (!this.cell.isThere || this.whole) return;
    this.forgotten();
    this.cell.free(() => this.farewell());
  }

  /** This thread has it no more. Who has it last frees it. */
  protected leave(): void {
    const { cell } = this;
    if (!cell.isThere) return;
    this.forgotten();
    if (cell.isPassedOn && cell.lifeline) cell.lifeline.letGo();
    else cell.free();
  }

  private forgotten(): void {
    collected.unregister(this);
    live?.delete(this.cell);
    const key = keyOf(this.cell);
    if (known.get(key)?.deref() === this) known.delete(key);
  }

  /** It is gone, and its memory is not yet: tells those who wait. */
  protected farewell(): void {}

  /** What is shown of it where it is printed, at this instant; undefined: this thread has closed it. Only asked while it is there. */
  protected facts(): object | undefined {
    return {};
  }

  /** @internal */
  [inspect.custom](depth: number, options: InspectOptionsStylized, print: typeof inspect): string {
    const { shared, isThere } = this.cell;
    const facts = isThere ? this.facts() : undefined;
    const name = this.constructor.name + (shared ? ` "${shared.name}"` : '');
    if (facts === undefined) return `${name} ${options.stylize('<closed>', 'special')}`;
    return depth < 0 ? options.stylize(`[${name}]`, 'special') : `${name} ${print(facts, options)}`;
  }

  /** @throws {ClosedError} It has been disposed of, here or elsewhere. */
  protected check(): void {
    if (!this.cell.isThere) throw this.closed();
  }

  protected closed(): ClosedError {
    return new ClosedError(
      `Cannot use this ${this.constructor.name} as it has been disposed of: keep it for as long as anyone uses it`,
    );
  }

  /** @internal */
  passOn(): CellHandle {
    this.check();
    const handle = this.cell.passOn();
    known.set(keyOf(this.cell), new WeakRef(this));
    return handle;
  }
}

// A child has what its parent had, whichever of them ends first.
onFork(() => {
  const bequests: Bequest[] = [];
  for (const reference of live?.values() ?? []) {
    const object = reference.deref();
    const bequest = object && bequeath(object);
    if (bequest) bequests.push(bequest);
  }
  return bequests.length === 0 ? undefined : all(bequests);
});

function bequeath(object: SharedObject): Bequest | undefined {
  const { cell } = object;
  if (!cell.isThere || cell.shared) return undefined; // by a name, each joins for itself
  if (!cell.isPassedOn) object.passOn();
  const { lifeline } = cell;
  if (lifeline === undefined) return undefined;
  const serial = newNumber();
  lifeline.issue(serial);
  return {
    take: () => lifeline.inherit(serial),
    takeBack: () => {
      if (cell.isThere) lifeline.withdraw(serial);
    },
  };
}

/** How the objects of a class cross. */
export interface Crossing<T> {
  /** Finds one by its name. `extra`: what its class needs to know besides. */
  readonly open?: (name: string, extra: unknown) => T;
  /** What its class needs to know of it besides its cell, as a value that can cross. */
  readonly extra?: (object: T) => unknown;
  /** Hears of each arrival of an object in this thread, which may have it already. */
  readonly arrived?: (object: T, extra: unknown) => void;
}

type Crossed = readonly [cell: CellHandle | string, extra?: unknown] | readonly [whole: SharedObject];

/** Lets objects of a class cross. Over there they are made anew by `new type(cell, extra)`. */
export function registerShared<T extends SharedObject>(
  id: string,
  type: abstract new (...args: never) => T,
  { open, extra, arrived }: Crossing<T> = {},
): void {
  const out = (object: T): Crossed => {
    if (object.whole) return [object.whole];
    const handle = object.passOn();
    const cell = object.cell.shared?.name ?? handle;
    return extra ? [cell, extra(object)] : [cell];
  };
  const back = ([cell, more]: Crossed): T => {
    if (cell instanceof SharedObject) return cell.inner as T;
    const key = typeof cell === 'string' ? `${id} ${cell}` : cell[1];
    const here = known.get(key)?.deref();
    // Its place may have been another's when this message was written.
    if (
      here?.cell.isThere &&
      (typeof cell === 'string' || here.cell.mark === cell[0]) &&
      here instanceof type
    ) {
      arrived?.(here, more);
      return here;
    }
    const object =
      typeof cell === 'string'
        ? (open as (name: string, extra: unknown) => T)(cell, more)
        : new (type as unknown as Revived<T>)(Cell.at(cell), more);
    if (!object.cell.isThere) return object;
    known.set(key, new WeakRef(object));
    arrived?.(object, more);
    return object;
  };
  registerHandle<T, Crossed>(id, type, out, back, ({ cell }) => cell.shared !== undefined);
}
