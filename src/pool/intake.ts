import { now } from '../platform/platform.js';

/** What a map is given. */
export type Items = Iterable<unknown> | AsyncIterable<unknown>;

/** How long an iterator may be asked for items at a stretch while the workers could begin with those that it has given, ms. */
const STRETCH = 5;
/** How often the clock is looked at: after so many items. */
const LOOK = 16;

/**
 * The items of a map, as they are taken. Those of arrays, typed arrays, Sets, Maps and strings are those that were there at the call; from other
 * iterables they are taken when they are needed, and their iterator is told when no more are.
 */
export class Intake {
  readonly isAsync: boolean;
  /** Has it given all that it will give? */
  isOver = false;
  /** What its iterator threw. */
  failure: { error: unknown } | undefined;
  #list: unknown[] | undefined;
  #iterator: Iterator<unknown> | AsyncIterator<unknown> | undefined;
  #expected: number | undefined;
  #taken = 0;
  /** Is its iterator being asked just now? */
  #isAsking = false;
  /** Is its iterator to be told as soon as it is not? */
  #isLeft = false;

  /** @throws {TypeError} They cannot be iterated. */
  constructor(items: Items) {
    const object = Object(items ?? 0) as Partial<Iterable<unknown> & AsyncIterable<unknown>>;
    this.isAsync = typeof object[Symbol.asyncIterator] === 'function';
    if (!this.isAsync && typeof object[Symbol.iterator] !== 'function')
      throw new TypeError(
        `Cannot map over ${items === null ? 'null' : typeof items}: give an iterable, or an async iterable`,
      );
    try {
      if (isCollection(items)) this.#list = Array.from(items);
      else this.#iterator = object[this.isAsync ? Symbol.asyncIterator : Symbol.iterator]?.();
    } catch (error) {
      this.#fail(error);
    }
    this.#expected = this.#list?.length ?? lengthOf(object as { length?: unknown; size?: unknown });
  }

  /** How many items there are in all; undefined: that is not known yet. */
  get total(): number | undefined {
    if (this.#expected === undefined || this.#taken <= this.#expected) return this.#expected;
    return undefined; // it had said less
  }

  /** The next items, `count` of them, if there are so many; if `hasty`, those that can be had in a moment. Not for async ones. */
  take(count: number, hasty: boolean): unknown[] {
    const items = this.#list ? this.#list.slice(this.#taken, this.#taken + count) : this.#ask(count, hasty);
    this.#taken += items.length;
    if (this.#list && this.#taken >= this.#list.length) this.isOver = true;
    if (this.isOver && !this.failure) this.#expected = this.#taken;
    return items;
  }

  #ask(count: number, hasty: boolean): unknown[] {
    const iterator = this.#iterator as Iterator<unknown>;
    const items: unknown[] = [];
    const end = hasty ? now() + STRETCH : Number.POSITIVE_INFINITY;
    this.#isAsking = true;
    try {
      while (items.length < count && !this.#isLeft) {
        const { done, value } = iterator.next();
        if (done) {
          this.isOver = true;
          break;
        }
        items.push(value);
        if (hasty && items.length % LOOK === 0 && now() > end) break;
      }
    } catch (error) {
      this.#fail(error);
    }
    this.#isAsking = false;
    if (this.#isLeft && !this.isOver) this.#tell()?.catch(() => {});
    return items;
  }

  /** The next item of async ones. Undefined: there is none, now or ever. */
  async takeOne(): Promise<{ item: unknown } | undefined> {
    this.#isAsking = true;
    try {
      const { done, value } = await (this.#iterator as AsyncIterator<unknown>).next();
      if (!done) {
        this.#taken++;
        return { item: value };
      }
      this.isOver = true;
      this.#expected = this.#taken;
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#isAsking = false;
    }
    return undefined;
  }

  #fail(error: unknown): void {
    this.isOver = true;
    this.failure = { error };
  }

  /**
   * No more is wanted: the iterator is told, once. Settles with what it does then, unless it is being asked for an item: that may
   * take for ever.
   */
  async leave(): Promise<void> {
    if (this.isOver || this.#isLeft || this.#list) return;
    this.#isLeft = true;
    if (!this.#isAsking) await this.#tell();
    else if (this.isAsync) this.#tell()?.catch(() => {});
  }

  async #tell(): Promise<void> {
    await this.#iterator?.return?.();
  }
}

/** Are its items there already? */
function isCollection(items: Items): items is Iterable<unknown> {
  return (
    Array.isArray(items) ||
    typeof items === 'string' ||
    (ArrayBuffer.isView(items) && !(items instanceof DataView)) ||
    items instanceof Set ||
    items instanceof Map
  );
}

function lengthOf({ length, size }: { length?: unknown; size?: unknown }): number | undefined {
  const count = length ?? size;
  return Number.isInteger(count) && (count as number) >= 0 ? (count as number) : undefined;
}
