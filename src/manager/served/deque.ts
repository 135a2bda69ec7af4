/** How many places may be empty at the front before the items move up. */
const SLACK = 1024;

/** A list that grows and shrinks at both ends at little cost. */
export class Deque<T> {
  #items: (T | undefined)[] = [];
  #front = 0;

  get length(): number {
    return this.#items.length - this.#front;
  }

  push(item: T): void {
    this.#items.push(item);
  }

  /** Back to the front, in order. */
  unshift(items: readonly T[]): void {
    const { length } = items;
    if (length <= this.#front) {
      this.#front -= length;
      for (let i = 0; i < length; i++) this.#items[this.#front + i] = items[i];
    } else {
      this.#items = [...items, ...this.#items.slice(this.#front)];
      this.#front = 0;
    }
  }

  /** Takes up to so many from the front. */
  take(most: number): T[] {
    const end = this.#front + Math.min(most, this.length);
    const taken = this.#items.slice(this.#front, end) as T[];
    this.#items.fill(undefined, this.#front, end);
    this.#front = end;
    if (this.#front >= SLACK && this.#front * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#front);
      this.#front = 0;
    }
    return taken;
  }

  clear(): void {
    this.#items = [];
    this.#front = 0;
  }
}
