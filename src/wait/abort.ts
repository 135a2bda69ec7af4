/** One that gives up when a signal is aborted. */
export interface Abortable {
  /** Called once, with the signal's reason. */
  abort(reason: unknown): void;
}

/*
 * However many wait with one signal, it has one listener of ours: Node warns of more than ten, and goes through all that a
 * signal has whenever one is added or removed.
 */
const watches = new WeakMap<AbortSignal, AbortWatch>();

/**
 * Has `one` told when `signal` is aborted, unless unwatchAbort() comes first. Those of a signal are told in the order in
 * which they came, the same one once; what one of them throws is an uncaught exception, and the others are told all the
 * same. As with any listener, one that comes when the signal is aborted already need not be told: look at it first.
 */
export function watchAbort(signal: AbortSignal, one: Abortable): void {
  const watch = watches.get(signal);
  if (watch) watch.add(one);
  else watches.set(signal, new AbortWatch(signal, one));
}

/** It is not told any more, nor if others are being told now. With the last one nothing of ours stays at the signal. */
export function unwatchAbort(signal: AbortSignal, one: Abortable): void {
  const watch = watches.get(signal);
  if (!watch?.deletesLast(one)) return;
  watches.delete(signal);
  watch.stop();
}

/** Those that one signal tells. */
class AbortWatch {
  readonly #signal: AbortSignal;
  /** The one there is, as most signals have one at a time. The second comes into a set with it. */
  #only: Abortable | undefined;
  #all: Set<Abortable> | undefined;
  /** A function, as Node makes an async call of an object's handleEvent(). */
  readonly #listener = () => this.#tell();

  constructor(signal: AbortSignal, one: Abortable) {
    this.#signal = signal;
    this.#only = one;
    signal.addEventListener('abort', this.#listener);
  }

  add(one: Abortable): void {
    this.#set().add(one);
  }

  /** True: it was the last, and there is nobody left to tell. */
  deletesLast(one: Abortable): boolean {
    if (!this.#all) return one === this.#only;
    return this.#all.delete(one) && this.#all.size === 0;
  }

  stop(): void {
    this.#signal.removeEventListener('abort', this.#listener);
  }

  #tell(): void {
    const all = this.#set();
    const { reason } = this.#signal;
    for (const one of [...all]) {
      if (!all.has(one)) continue; // one of those before has ended it
      try {
        one.abort(reason);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
    for (const one of all) unwatchAbort(this.#signal, one);
  }

  #set(): Set<Abortable> {
    if (this.#all) return this.#all;
    this.#all = new Set();
    if (this.#only) this.#all.add(this.#only);
    this.#only = undefined;
    return this.#all;
  }
}
