import { encode } from '../codec/encode.js';
import { free } from '../memory/allocator.js';
import { storeMessage } from '../memory/message.js';
import { portable } from '../process/target.js';

/** A function as the workers of a pool get it: once each. */
export interface Definition {
  readonly id: number;
  readonly handle: number;
  readonly name: string;
  /** Tasks that are outstanding. */
  uses: number;
}

/** How many functions that no task uses a pool keeps, for the next task that does. */
const KEPT = 256;

/**
 * The functions that a pool has been given. A function crosses once: what it captures is copied at its first task.
 */
export class Functions {
  readonly #owner: number;
  readonly #known = new Map<unknown, Definition>();
  #last: { target: unknown; definition: Definition } | undefined;
  #count = 0;

  /** `owner`: tag that the definitions' blocks belong to. */
  constructor(owner: number) {
    this.#owner = owner;
  }

  /** @throws {TypeError | SerializationError} It is no target, or cannot cross. */
  define(target: unknown): Definition {
    if (this.#last !== undefined && this.#last.target === target) return this.#last.definition;
    const key = keyOf(target);
    let definition = this.#known.get(key);
    if (!definition) {
      const handle = storeMessage(encode(portable(target), { root: 'target' }), this.#owner);
      definition = { id: ++this.#count, handle, name: nameOf(target), uses: 0 };
      this.#known.set(key, definition);
      if (this.#known.size > KEPT) this.#forgetOne();
    }
    this.#last = { target, definition };
    return definition;
  }

  #forgetOne(): void {
    for (const [key, definition] of this.#known) {
      if (definition.uses > 0) continue;
      this.#known.delete(key);
      free(definition.handle);
      if (this.#last?.definition === definition) this.#last = undefined;
      return;
    }
  }

  free(): void {
    for (const { handle } of this.#known.values()) free(handle);
    this.#known.clear();
    this.#last = undefined;
  }
}

/** Functions are known by identity, module references by what they say. */
function keyOf(target: unknown): unknown {
  if (typeof target !== 'object' || target === null) return target;
  const { module, export: name } = target as { module?: unknown; export?: unknown };
  return `${String(module)} ${String(name)}`;
}

function nameOf(target: unknown): string {
  if (typeof target === 'function') return target.name || 'anonymous function';
  return String((target as { export?: string }).export ?? 'default');
}
