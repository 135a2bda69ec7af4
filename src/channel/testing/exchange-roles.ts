import { Cell, type CellHandle } from '../../sync/cell.js';
import { PATIENCE, type Role, type Script, type Stage } from '../../wait/testing/lockstep.js';
import { CommonsSpace } from '../commons-space.js';
import { EXCHANGE, Exchange, OUTCOME, type Outcome } from '../exchange.js';
import { packBytes, unpackBytes } from '../item.js';
import { Log } from '../log.js';
import { borrow, giveBack, INLINE_BYTES, type Parcel, release } from '../parcel.js';

/*
 * What threads do with an exchange in the explorer of schedules. An item is a number that says whose it is and which of its own;
 * every eighth is too long to lie in line with others.
 */
export interface ExchangeRole extends Role {
  readonly cell: CellHandle;
  /** Of the exchange to which a relay puts what it gets, and from which one who blocks gets. */
  readonly other?: CellHandle;
  readonly act: 'get' | 'put' | 'close' | 'watch' | 'relay' | 'block';
  /** The impatient give up now and then, and come again; the hasty only try, many times. */
  readonly style: 'blocking' | 'async' | 'impatient' | 'aborting' | 'hasty';
  /** How long one who is called may be overtaken, ms. */
  readonly patience: number;
  /** How many to get. */
  readonly count: number;
  /** Which to put; who closes does so afterwards. */
  readonly items?: readonly number[];
}

/** How often one does so before it waits, blocking, or a run in which nobody puts any more would never end. */
const MOST_TRIES = { blocking: 0, async: Number.POSITIVE_INFINITY, impatient: 8, aborting: 8, hasty: 50 };

/** What is told of each at the end. */
export interface Report {
  readonly got: readonly number[];
  /** How many it put for certain. */
  readonly put: number;
  /** Found that nothing would come, or go in, any more. */
  readonly ended: boolean;
  readonly readable: boolean;
  readonly died: boolean;
}

export const script: Script = async (role: ExchangeRole, { report, onEventLoop, pause }: Stage) => {
  const got: number[] = [];
  let put = 0;
  let tries = 0;
  Object.assign(report, { got, put, ended: false, readable: false });

  if (role.act === 'watch') {
    await onEventLoop(untilReadable(open(role.cell)));
    report.readable = true;
  } else if (role.act === 'block') {
    const from = open(role.cell);
    const then = open(role.other as CellHandle);
    const first = borrow();
    const pending = from.get(called => from.take(first, called), {});
    pending.catch(() => {}); // should it die while it blocks
    const second = borrow();
    keep(
      then.getSync(called => then.take(second, called), Number.POSITIVE_INFINITY),
      second,
      then,
    );
    keep(await onEventLoop(pending), first, from);
  } else {
    const exchange = open(role.cell);
    const other = role.other && open(role.other);
    for (const item of role.items ?? []) if (!(await putOne(exchange, item))) break;
    if (role.act === 'close') exchange.shutDown(false);
    if (role.act === 'get' || role.act === 'relay')
      for (let i = 0; i < role.count; i++) {
        if (!(await getOne(exchange))) break;
        if (role.act === 'relay' && other) await putOne(other, got[i]);
      }
  }

  function open(cell: CellHandle): Exchange {
    return exchangeAt(Cell.at(cell), role.patience);
  }

  /** Notes what was got at once, as the next step may be its last. */
  function keep(outcome: Outcome, parcel: Parcel, exchange: Exchange): boolean {
    if (outcome === OUTCOME.DONE) got.push(itemIn(parcel, exchange));
    else report.ended = true;
    return outcome === OUTCOME.DONE;
  }

  async function getOne(exchange: Exchange): Promise<boolean> {
    const parcel = borrow();
    const attempt = (called: boolean) => exchange.take(parcel, called);
    let outcome: Outcome = OUTCOME.NOT_NOW;
    while (outcome === OUTCOME.NOT_NOW) outcome = await once(attempt, exchange, 'get');
    const isDone = keep(outcome, parcel, exchange);
    giveBack(parcel, exchange.space);
    return isDone;
  }

  async function putOne(exchange: Exchange, item: number): Promise<boolean> {
    const parcel = borrow();
    pack(item, parcel, exchange);
    const attempt = (called: boolean) => exchange.offer(parcel, called);
    let outcome: Outcome = OUTCOME.NOT_NOW;
    while (outcome === OUTCOME.NOT_NOW) outcome = await once(attempt, exchange, 'put');
    if (outcome === OUTCOME.DONE) report.put = ++put;
    else report.ended = true;
    giveBack(parcel, exchange.space);
    return outcome === OUTCOME.DONE;
  }

  /** As Queue does it: tries, and waits if it must. */
  async function once(
    attempt: (called: boolean) => Outcome,
    exchange: Exchange,
    act: 'get' | 'put',
  ): Promise<Outcome> {
    const outcome = attempt(false);
    if (outcome !== OUTCOME.NOT_NOW) return outcome;
    const sync = act === 'get' ? 'getSync' : 'putSync';
    const style = ++tries <= MOST_TRIES[role.style] ? role.style : 'blocking';
    switch (style) {
      case 'blocking':
        return exchange[sync](attempt, Number.POSITIVE_INFINITY);
      case 'impatient':
        return exchange[sync](attempt, PATIENCE);
      case 'async':
        return onEventLoop(exchange[act](attempt, {}));
      case 'aborting': {
        const controller = new AbortController();
        const reason = {};
        const refused = (error: unknown): Outcome => {
          if (error !== reason) throw error;
          return OUTCOME.NOT_NOW;
        };
        const wait = exchange[act](attempt, { signal: controller.signal }).catch(refused);
        return onEventLoop(wait, () => controller.abort(reason));
      }
      default:
        pause();
        return outcome;
    }
  }
};

/** The exchange in a queue's cell, over a log. `patience`: see Terms. */
export function exchangeAt(cell: Cell, patience: number): Exchange {
  const space = new CommonsSpace(cell);
  const log = new Log(cell.words, cell.at + EXCHANGE.WORDS, space);
  cell.attached = () => log.blocks();
  return new Exchange(cell, cell.at, space, log, { patience });
}

function untilReadable(exchange: Exchange): Promise<void> {
  return new Promise(resolve => {
    const look = () => {
      const watch = exchange.watch({ notify: look });
      if (!exchange.isReadable()) return;
      watch.stop();
      resolve();
    };
    look();
  });
}

function pack(item: number, parcel: Parcel, { space }: Exchange): void {
  const bytes = new Uint8Array(item % 8 === 7 ? INLINE_BYTES + 4 : 4);
  new Int32Array(bytes.buffer)[0] = item;
  packBytes(bytes, parcel, space);
}

function itemIn(parcel: Parcel, { space }: Exchange): number {
  return new Int32Array(unpackBytes(parcel, space).buffer)[0];
}

/** All that is left in the exchange. */
export function drain(exchange: Exchange): number[] {
  const left: number[] = [];
  const parcel = borrow();
  while (exchange.take(parcel, true) === OUTCOME.DONE) {
    left.push(itemIn(parcel, exchange));
    release(parcel, exchange.space);
  }
  giveBack(parcel, exchange.space);
  return left;
}
