/** One that gives up when a signal is aborted. */
export interface Abortable {
  /** Called once, with the signal's reason. */
  abort(reason: unknown): void;
}

/*
 * However many wait with one signal, it has one listener of ours: Node warns of more than ten, and looks through all of
 * a signal's listeners whenever one is added or removed.
 */
const watches = new WeakMap<AbortSignal, AbortWatch>();

/**
 * Has `one` told when `signal` is aborted, unless unwatchAbort() comes first. Those of a signal are told in the order in
 * which they came; what one of them throws is an uncaught exception, and the others are told all the same. Twice the same
 * counts once. As with any listener, one that comes once the signal is aborted is never told: look at it first.
 */
export function watchAbort(signal: AbortSignal, one: Abortable): void {
  const watch = watches.get(signal);
  if (watch) watch.all.add(one);
  else watches.set(signal, new AbortWatch(signal, one));
}

/** No more, from within a call of abort() too. With the last of them nothing of ours stays at the signal. */
export function unwatchAbort(signal: AbortSignal, one: Abortable): void {
  const watch = watches.get(signal);
  if (watch?.all.delete(one) && watch.all.size === 0) watch.end();
}

/** Those that one signal tells. */
class AbortWatch {
  readonly all = new Set<Abortable>();
  readonly #signal: AbortSignal;
  /** A function, as Node makes an async call of an object's handleEvent(). */
  readonly #tell = () => this.#tellAll();

  constructor(signal: AbortSignal, first: Abortable) {
    this.#signal = signal;
    this.all.add(first);
    signal.addEventListener('abort', this.#tell);
  }

  #tellAll(): void {
    const { reason } = this.#signal;
    for (const one of [...this.all]) {
      if (!this.all.has(one)) continue; // it has ended with one before it
      try {
        one.abort(reason);
      } catch (error) {
        process.nextTick(() => {
          throw error;
        });
      }
    }
    this.all.clear();
    this.end();
  }

  end(): void {
    if (watches.get(this.#signal) === this) watches.delete(this.#signal);
    this.#signal.removeEventListener('abort', this.#tell);
  }
}
