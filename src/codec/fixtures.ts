/** Classes for tests, in a module of their own: they can be imported, so their objects cross by reference. */

export class Point {
  x: number;
  y: number;
  constructor(x: number, y: number) {
    this.x = x;
    this.y = y;
  }
  get length(): number {
    return Math.hypot(this.x, this.y);
  }
}

export class NotFoundError extends Error {
  readonly id: number;
  constructor(id: number) {
    super(`no ${id}`);
    this.name = 'NotFoundError';
    this.id = id;
  }
}

export class Registry extends Map<string, unknown> {
  owner = 'nobody';
}

export class Stack extends Array<unknown> {
  limit = 3;
}

export class Tagged extends Uint8Array {
  tag = 'none';
}

export class Secret {
  #key = 1;
  open = true;
  get key(): number {
    return this.#key;
  }
}

export class MoreSecret extends Secret {
  level = 2;
}

/** What ran of a Trap's code. */
export const trapped: string[] = [];

/** Nothing of it is to run when one of its objects comes. */
export class Trap {
  constructor() {
    trapped.push('constructor');
  }
  get bait(): number {
    trapped.push('getter');
    return 1;
  }
  set bait(_value: number) {
    trapped.push('setter');
  }
  toJSON(): void {
    trapped.push('toJSON');
  }

  /** One that nothing of it ran for, with a property of its own where its class has an accessor. */
  static sleeping(): Trap {
    return Object.create(Trap.prototype, {
      bait: { value: 2, writable: true, enumerable: true, configurable: true },
    }) as Trap;
  }
}
