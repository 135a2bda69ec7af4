import { TimeoutError } from '../errors/errors.js';
import type { Cell } from '../sync/cell.js';
import { checkWait, timeoutOf, type WaitOptions } from '../wait/options.js';
import type { AnyKey } from './key.js';
import { type MapStore, WATCH_AT } from './map-store.js';

/*
 * Who waits for changes of keys, in lines at a few words of the map. A wait notes two hashes of its key, so that only those of that key
 * are called; a change of another key with the same word has others look again, if they were about to wait.
 *
 * A change is told after it has been made. Whose maker dies between the two is found by those who wait: each death has them
 * compare versions.
 */
const WORDS = 32;
const WATCHED_AT = WATCH_AT;
const WORD_AT = WATCH_AT + 1;

const CHANGED = 0;
const LOOK = 1;
const CLOSED = 2;

export class MapWatch {
  readonly #cell: Cell;
  readonly #store: MapStore;

  constructor(cell: Cell, store: MapStore) {
    this.#cell = cell;
    this.#store = store;
    store.onRecovered = () => this.tellAll();
  }

  /** The key has changed. */
  tell(key: AnyKey): void {
    const { words, at, home } = this.#cell;
    // SYNC POINT with until(): the change came before this load.
    const watched = Atomics.load(words, at + WATCHED_AT);
    if (watched === 0) return;
    const first = this.#store.seek(key).hash;
    const bucket = first & (WORDS - 1);
    if ((watched & (1 << bucket)) === 0) return;
    const second = this.#store.secondHash(key);
    Atomics.add(words, at + WORD_AT + bucket, 1);
    home.wake(at + WORD_AT + bucket, Number.POSITIVE_INFINITY, {
      token: CHANGED,
      passOn: false, // all that it concerns are called
      choose: ({ note }) => note[0] === first && note[1] === second,
    });
  }

  /** Any may have changed. */
  tellAll(): void {
    this.#all(LOOK);
  }

  /** The map is no more. */
  close(): void {
    this.#all(CLOSED);
  }

  #all(token: number): void {
    const { words, at, home } = this.#cell;
    const watched = Atomics.load(words, at + WATCHED_AT);
    for (let bucket = 0; bucket < WORDS; bucket++) {
      if ((watched & (1 << bucket)) === 0) continue;
      Atomics.add(words, at + WORD_AT + bucket, 1);
      home.wake(at + WORD_AT + bucket, Number.POSITIVE_INFINITY, { token, passOn: false });
    }
  }

  /** Waits for the next change. In line by the time the call returns. False: the map is no more. @throws {TimeoutError} */
  async until(key: AnyKey, options: WaitOptions | undefined): Promise<boolean> {
    checkWait(options);
    const timeout = timeoutOf(options);
    const { words, at, home } = this.#cell;
    const store = this.#store;
    const first = store.seek(key).hash;
    const bucket = first & (WORDS - 1);
    const word = at + WORD_AT + bucket;
    const note = [first, store.secondHash(key)];
    Atomics.or(words, at + WATCHED_AT, 1 << bucket); // SYNC POINT with tell()
    const before = store.version(key);
    const deadline = performance.now() + timeout;
    const signal = options?.signal;
    for (;;) {
      if (!this.#cell.isThere) return false;
      const expected = Atomics.load(words, word);
      if (store.version(key) !== before) return true;
      const { outcome, token } = await home.park(word, expected, {
        timeout: timeout === 0 ? 0 : Math.max(deadline - performance.now(), 0),
        ...(signal ? { signal } : {}),
        note,
        recheck: () =>
          this.#cell.isThere && Atomics.load(words, word) === expected && store.versionNow(key) === before,
      });
      if (outcome === 'timeout')
        throw new TimeoutError(
          `Cannot tell the next change of ${JSON.stringify(key)} as there was none in ${timeout} ms: allow more time`,
        );
      if (outcome === 'woken' && token === CLOSED) return false;
      if (outcome === 'woken' && token === CHANGED) return true;
    }
  }
}
