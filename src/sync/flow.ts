import { AsyncLocalStorage } from 'node:async_hooks';
import { promiseHooks } from 'node:v8';

/*
 * Who holds a lock within a thread: its async flow, that is, the code that goes on from `await lock.acquire()`, with all that it
 * starts from there.
 *
 * AsyncLocalStorage carries a flow on. What it cannot do is begin one at an await: enterWith() in acquire() would also
 * reach whoever called the function that awaits, as long as that goes on synchronously. So a promise hook marks
 * those promises that depend on acquire()'s directly, which is what `await` makes, and the flow is entered just before they
 * go on. Nothing of this is active before a thread's first async acquire().
 */

/** What a flow was begun for. */
export interface Holding {
  /** Does the flow with this number still hold it? */
  isHeldBy(flow: number): boolean;
}

/** The number of what runs in no flow: the thread itself, as in blocking code. */
export const THREAD = 1;

const FOLLOWED: unique symbol = Symbol('followed by');
const AWAITED: unique symbol = Symbol('awaited by');
const ENTERS: unique symbol = Symbol('enters');

interface Marked extends Promise<unknown> {
  [FOLLOWED]?: Flow;
  [AWAITED]?: Flow;
  [ENTERS]?: Flow;
}

let storage: AsyncLocalStorage<Flow> | undefined;
let last = THREAD;

/** A number that no flow of this thread has. */
export function newFlowId(): number {
  last = last === 0x7fffffff ? THREAD + 1 : last + 1;
  return last;
}

export class Flow {
  readonly id: number;
  readonly #parent: Flow | undefined;
  #holding: Holding[];
  /** Does anything wait for the promise by which it begins? */
  isAwaited = false;
  /** Called when it first becomes so. */
  onAwaited: (() => void) | undefined;

  constructor(holding: Holding) {
    this.id = newFlowId();
    this.#parent = currentFlow();
    this.#holding = [holding];
  }

  get isHolding(): boolean {
    return this.#holding.some(holding => holding.isHeldBy(this.id));
  }

  /** Code of this flow has come to hold that, too. */
  alsoHolds(holding: Holding): void {
    if (!this.#holding.includes(holding))
      this.#holding = [...this.#holding.filter(other => other.isHeldBy(this.id)), holding];
  }

  get parent(): Flow | undefined {
    return this.#parent;
  }

  /** Is it `id`, or does it descend from it? */
  descendsFrom(id: number): boolean {
    for (let flow: Flow | undefined = this; flow; flow = flow.#parent) if (flow.id === id) return true;
    return false;
  }

  /** The numbers of it and those it descends from, as far as they hold something. */
  lineage(): number[] {
    const ids: number[] = [];
    for (let flow: Flow | undefined = this; flow; flow = flow.#parent) if (flow.isHolding) ids.push(flow.id);
    return ids;
  }

  /** Runs `fn` as this flow. */
  run<T>(fn: () => T): T {
    return store().run(this, fn);
  }

  /** What awaits this promise goes on as this flow. */
  startsAt<P extends Promise<unknown>>(promise: P): P {
    store();
    (promise as Marked)[FOLLOWED] = this;
    return promise;
  }

  /** This promise ends with the flow: what awaits it is not part of it. */
  endsWith<P extends Promise<unknown>>(promise: P): P {
    store();
    (promise as Marked)[AWAITED] = this;
    return promise;
  }

  /** Somebody has come to wait for it. */
  noteAwaited(): void {
    if (this.isAwaited) return;
    this.isAwaited = true;
    this.onAwaited?.();
  }
}

/** The flow that this code belongs to, or the nearest that it descends from and that still holds something. */
export function currentFlow(): Flow | undefined {
  let flow = storage?.getStore();
  while (flow !== undefined && !flow.isHolding) flow = flow.parent;
  return flow;
}

function store(): AsyncLocalStorage<Flow> {
  if (storage) return storage;
  storage = new AsyncLocalStorage();
  // Its own hooks must come first, or what ours enter would be undone: hooks run in the order in which they were made.
  storage.run(undefined as unknown as Flow, () => {});
  storage.enterWith(undefined as unknown as Flow);
  promiseHooks.createHook({
    init(promise: Marked, parent: Marked | undefined) {
      if (parent === undefined) return;
      const flow = parent[FOLLOWED];
      if (flow !== undefined) promise[ENTERS] = flow;
      (flow ?? parent[AWAITED])?.noteAwaited();
    },
    before(promise: Marked) {
      const flow = promise[ENTERS];
      if (flow !== undefined) storage?.enterWith(flow);
    },
  });
  return storage;
}
