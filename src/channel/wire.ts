import { REASON } from '../memory/layout.js';
import { Cell, type CellHandle, newNumber } from '../sync/cell.js';
import { watchDeaths } from '../wait/deaths.js';
import { onDepart } from '../wait/depart.js';
import { onRing } from '../wait/doorbell.js';
import { all, type Bequest, onFork } from '../wait/forks.js';
import { CommonsSpace } from './commons-space.js';
import { EXCHANGE, Exchange } from './exchange.js';
import { Lifeline } from './lifeline.js';
import { Log } from './log.js';

/*
 * A pipe as this thread sees it: what both of its ends need.
 *
 *   an exchange, and its log, for what goes to end 0      an exchange, and its log, for what goes to end 1
 *   the table of who holds the ends
 *
 * When an end is gone, what came to it is dropped and nothing more goes in, and what it sent can still be received. When both are,
 * whoever let go last frees the cell.
 */
export const EXCHANGES_AT: readonly number[] = [0, 32];
const TABLE_AT = 64;
const BYTES = 768;

/** What may lie unread in each direction, bytes; a longer message goes in alone. */
const ROOM = 16 * 2 ** 20;

/** What this thread has of pipes, by the blocks of their cells. */
const wires = new Map<number, Wire>();

/** Has this thread ever had the end of a pipe that others may know? */
let isConcerned = false;

export class Wire {
  readonly cell: Cell;
  readonly isDuplex: boolean;
  readonly lifeline: Lifeline;
  readonly #toEnds: readonly Exchange[];
  /** This thread's objects for the ends. */
  readonly #here: (Here | undefined)[] = [undefined, undefined];

  private constructor(cell: Cell, isDuplex: boolean) {
    this.cell = cell;
    this.isDuplex = isDuplex;
    const space = new CommonsSpace(cell);
    const logs = EXCHANGES_AT.map(at => new Log(cell.words, cell.at + at + EXCHANGE.WORDS, space));
    this.#toEnds = logs.map(
      (log, end) =>
        new Exchange(cell, cell.at + EXCHANGES_AT[end], space, log, {
          noMorePuts: () => this.lifeline.isGone(1 - end),
          noMoreTakes: () => this.lifeline.isGone(end),
        }),
    );
    this.lifeline = new Lifeline(cell, cell.at + TABLE_AT, 2, {
      gone: end => {
        this.#toEnds[end].shutDown(true);
        this.#toEnds[1 - end].shutDown(false);
      },
      empty: () => cell.free(),
    });
    cell.attached = () => [...logs.flatMap(log => log.blocks()), ...this.lifeline.blocks];
  }

  /** A new pipe, of which this thread holds both ends. @throws {OutOfMemoryError} */
  static make(isDuplex: boolean): Wire {
    const cell = Cell.make(BYTES);
    for (const at of EXCHANGES_AT) Exchange.prepare(cell.words, cell.at + at, 0, ROOM);
    Lifeline.prepare(cell.words, cell.at + TABLE_AT, BYTES - TABLE_AT * 4);
    const wire = new Wire(cell, isDuplex);
    for (const end of [0, 1]) wire.lifeline.found(end);
    return wire;
  }

  /** Another thread's. */
  static at(handle: CellHandle, isDuplex: boolean): Wire {
    const known = wires.get(handle[1]);
    if (known?.cell.isThere && known.cell.mark === handle[0]) return known;
    concern();
    return new Wire(Cell.at(handle), isDuplex);
  }

  /** How it is named to another thread. */
  passOn(): CellHandle {
    concern();
    return this.cell.passOn();
  }

  /** What comes to an end. */
  to(end: number): Exchange {
    return this.#toEnds[end];
  }

  /** This thread's object for the end, if it has one. */
  objectFor(end: number): object | undefined {
    return this.#here[end]?.object.deref();
  }

  /** This is now this thread's object for the end, which it holds: until it closes it, or drops it. */
  hasObject(end: number, object: object): void {
    const here = new Here(this, end, object);
    this.#here[end] = here;
    wires.set(this.cell.blocks[0], this);
    dropped.register(object, here, object);
  }

  /** This thread lets go of an end that it holds. */
  letGo(end: number): void {
    const object = this.objectFor(end);
    if (object) dropped.unregister(object);
    this.#leave(end);
  }

  /** The object for an end was dropped without a word. */
  drop(here: Here): void {
    if (this.#here[here.end] === here) this.#leave(here.end);
  }

  #leave(end: number, keeps = true): void {
    this.#here[end] = undefined;
    if (this.#here.every(one => one === undefined)) wires.delete(this.cell.blocks[0]);
    this.lifeline.letGo(end, keeps);
  }

  /** This thread ends. */
  leaveAll(): void {
    for (const here of this.#here) if (here) this.#leave(here.end, false);
  }

  /** Before a fork: its child will have the ends that this thread has. */
  bequeath(): Bequest | undefined {
    const ends = [0, 1].filter(end => this.objectFor(end) !== undefined);
    if (!this.cell.isThere || ends.length === 0) return undefined;
    this.passOn();
    const serial = newNumber();
    for (const end of ends) this.lifeline.issue(end, serial);
    return {
      take: () => {
        for (const end of ends) this.lifeline.inherit(end, serial);
      },
      takeBack: () => {
        if (this.cell.isThere) for (const end of ends) this.lifeline.withdraw(end, serial);
      },
    };
  }

  /** After a death: what the dead will not read any more is dropped, if it holds the ends of other pipes open. */
  look(): void {
    for (const end of [0, 1]) if (this.#toEnds[end].isCarrier) this.lifeline.isGone(end);
  }
}

/** The object of this thread that stands for an end. */
class Here {
  readonly object: WeakRef<object>;
  constructor(
    readonly wire: Wire,
    readonly end: number,
    object: object,
  ) {
    this.object = new WeakRef(object);
  }
}

const dropped = new FinalizationRegistry((here: Here) => here.wire.drop(here));

/** This thread has to do with pipes of others. */
function concern(): void {
  if (isConcerned) return;
  isConcerned = true;
  watchDeaths();
  onRing(REASON.DEATH, () => {
    for (const wire of wires.values()) wire.look();
  });
}

onFork(() => {
  const bequests = [...wires.values()].flatMap(wire => wire.bequeath() ?? []);
  return bequests.length === 0 ? undefined : all(bequests);
});

// Those who wait must look again once this thread has left, also because of what it had on its way.
onDepart(() => {
  for (const wire of wires.values()) wire.leaveAll();
  return isConcerned;
});
