import { inspect } from 'node:util';
import { type Abortable, unwatchAbort, watchAbort } from '../wait/abort.js';
import { atDeadline } from '../wait/deadlines.js';
import { hold, unhold } from '../wait/doorbell.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import { IS_READY, WATCH, type Waitable, type Watch, type Watcher } from './waitable.js';

/**
 * Waits until at least one is ready: a queue or connection to which a read would come back at once, with an item or because
 * nothing will ever come; a process or thread that has ended.
 *
 * All that are ready, in the order given, one given twice twice; none when `timeout` has passed first, or when none were given. It
 * takes nothing, so of several who wait for a queue all are told, and one who reads it then may find that another was quicker:
 * read with `getNowait()`, or a `timeout`. What is ready stays so until somebody reads it.
 *
 * Thousands at once are fine: nothing is polled, and only what changes is looked at again.
 *
 * Python: `multiprocessing.connection.wait`, which takes connections and sentinels, and no queues.
 * @throws {TypeError} One of them cannot be waited for.
 * @throws {ClosedError} One of them was closed or disposed of, perhaps meanwhile.
 * @throws {LifecycleError} A process or thread among them has not been started.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { Queue, wait } from 'manyhands';
 *
 * using quiet = new Queue<string>();
 * using busy = new Queue<string>();
 * await busy.put('news');
 * for (const queue of await wait([quiet, busy])) assert.equal(queue.getNowait(), 'news');
 * assert.deepEqual(await wait([quiet], { timeout: 10 }), []);
 * ```
 */
export async function wait<T extends Waitable>(
  objects: readonly T[],
  options: WaitOptions = {},
): Promise<T[]> {
  check(objects);
  const timeout = timeoutOf(options);
  options.signal?.throwIfAborted();
  const all = new Set<Waitable>(objects);
  let ready: ReadonlySet<Waitable> = readyOf(all);
  if (ready.size === 0 && all.size > 0 && timeout > 0)
    ready = await new Waiting(all, options.signal).begin(timeout);
  return objects.filter(object => ready.has(object));
}

function check(objects: readonly unknown[]): void {
  if (!Array.isArray(objects))
    throw new TypeError(`Cannot wait for ${nameOf(objects)}: give an array of what to wait for`);
  for (let i = 0; i < objects.length; i++) {
    if (typeof (objects[i] as Partial<Waitable> | null | undefined)?.[WATCH] === 'function') continue;
    throw new TypeError(
      `Cannot wait for element ${i}, which is ${nameOf(objects[i])}: give queues, connections, processes, threads`,
    );
  }
}

function nameOf(value: unknown): string {
  if (typeof value !== 'object' || value === null) return inspect(value, { depth: 0 });
  return `an object of class ${value.constructor?.name}`;
}

function readyOf(all: Iterable<Waitable>): Set<Waitable> {
  const ready = new Set<Waitable>();
  for (const one of all) if (one[IS_READY]()) ready.add(one);
  return ready;
}

/** A wait for the first of some that is ready. */
class Waiting implements Abortable {
  readonly #all: ReadonlySet<Waitable>;
  readonly #watched: Watched[] = [];
  readonly #signal: AbortSignal | undefined;
  #cancelTimer: (() => void) | undefined;
  #isOver = false;
  #resolve: (ready: ReadonlySet<Waitable>) => void = () => {};
  #reject: (reason: unknown) => void = () => {};

  constructor(all: ReadonlySet<Waitable>, signal: AbortSignal | undefined) {
    this.#all = all;
    this.#signal = signal;
  }

  /** Those that are ready. */
  begin(timeout: number): Promise<ReadonlySet<Waitable>> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      hold();
      if (this.#signal) watchAbort(this.#signal, this);
      if (timeout !== Number.POSITIVE_INFINITY)
        this.#cancelTimer = atDeadline(performance.now() + timeout, () => this.#succeed(), true);
      for (const one of this.#all) {
        const watched = new Watched(this, one);
        this.#watched.push(watched);
        this.look(watched);
        if (this.#isOver) return;
      }
    });
  }

  /** Watches this one from now on, unless it is ready. */
  look(watched: Watched): void {
    if (this.#isOver) return;
    const { one } = watched;
    try {
      watched.watch = one[WATCH](watched);
      // If so it was ready just now, whoever may take what it has from now on.
      if (one[IS_READY]()) this.#succeed(one);
    } catch (error) {
      this.#fail(error);
    }
  }

  #succeed(first?: Waitable): void {
    try {
      const ready = readyOf(this.#all);
      if (first) ready.add(first);
      if (this.#end()) this.#resolve(ready);
    } catch (error) {
      this.#fail(error);
    }
  }

  abort(reason: unknown): void {
    this.#fail(reason);
  }

  #fail(reason: unknown): void {
    if (this.#end()) this.#reject(reason);
  }

  /** False: it was over before. */
  #end(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    for (const { watch } of this.#watched) watch?.stop();
    this.#cancelTimer?.();
    if (this.#signal) unwatchAbort(this.#signal, this);
    unhold();
    return true;
  }
}

/** One of those that a wait is for. */
class Watched implements Watcher {
  readonly #waiting: Waiting;
  readonly one: Waitable;
  watch: Watch | undefined;

  constructor(waiting: Waiting, one: Waitable) {
    this.#waiting = waiting;
    this.one = one;
  }

  notify(): void {
    this.#waiting.look(this);
  }
}
