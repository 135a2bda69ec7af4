import { collectTickets, storeWithTickets, type Tickets } from '../channel/tickets.js';
import { encode } from '../codec/encode.js';
import { free } from '../memory/allocator.js';
import { portable } from '../process/target.js';

/** A function as the workers of a pool get it: once each. */
export interface Definition extends Kept {
  readonly id: number;
  readonly name: string;
  /** What it is known by. */
  readonly key: unknown;
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
  /** Those that no task uses, the one used last at the end. */
  readonly #idle = new Set<Definition>();
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
      const stored = storeKept(() => encode(portable(target), { root: 'target' }), this.#owner);
      definition = { id: ++this.#count, name: nameOf(target), key, uses: 0, ...stored };
      this.#known.set(key, definition);
      this.#rest(definition);
    }
    this.#last = { target, definition };
    return definition;
  }

  /** A task needs it from now on. */
  use(definition: Definition): void {
    if (definition.uses++ === 0) this.#idle.delete(definition);
  }

  /** A task that needed it has settled. */
  release(definition: Definition): void {
    if (--definition.uses === 0) this.#rest(definition);
  }

  #rest(definition: Definition): void {
    this.#idle.add(definition);
    if (this.#idle.size <= KEPT) return;
    const [oldest] = this.#idle;
    this.#idle.delete(oldest);
    this.#known.delete(oldest.key);
    if (this.#last?.definition === oldest) this.#last = undefined;
    freeKept(oldest);
  }

  free(): void {
    for (const definition of this.#known.values()) freeKept(definition);
    this.#known.clear();
    this.#idle.clear();
    this.#last = undefined;
  }
}

/** A message that is kept, and what it holds open for as long as it is. */
export interface Kept {
  readonly handle: number;
  readonly tickets: Tickets | null;
}

export function storeKept(encoding: () => Uint8Array, owner: number): Kept {
  const { result, tickets } = collectTickets(encoding);
  try {
    return { handle: storeWithTickets(result, owner, tickets), tickets };
  } catch (error) {
    tickets?.release();
    throw error;
  }
}

export function freeKept({ handle, tickets }: Kept): void {
  tickets?.release();
  free(handle);
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
