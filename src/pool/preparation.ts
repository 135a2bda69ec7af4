import { encode } from '../codec/encode.js';
import { loadModule } from '../codec/functions/modules.js';
import { moduleUrl, type PortableTarget, portable, resolveTarget } from '../process/target.js';
import { freeKept, type Kept, storeKept } from './functions.js';
import type { PoolOptions } from './options.js';

/** What a worker has to do besides tasks. */
interface Chores {
  readonly preload: readonly string[];
  readonly initializer: PortableTarget | undefined;
  readonly initargs: readonly unknown[];
  readonly finalizer: PortableTarget | undefined;
}

/** What all workers of a pool do before their first task and after their last, written down for them. */
export class Preparation {
  readonly #kept: Kept | undefined;

  /** `owner`: tag of the pool's thread. @throws {SerializationError} Some of it cannot cross. */
  constructor({ preload = [], initializer, initargs = [], finalizer }: PoolOptions, owner: number) {
    if (preload.length === 0 && initializer === undefined && finalizer === undefined) return;
    const chores: Chores = {
      preload: preload.map(moduleUrl),
      initializer: initializer && portable(initializer),
      initargs,
      finalizer: finalizer && portable(finalizer),
    };
    this.#kept = storeKept(() => encode(chores, { root: '' }), owner);
  }

  /** The message; 0: there is nothing to do. */
  get handle(): number {
    return this.#kept?.handle ?? 0;
  }

  free(): void {
    if (this.#kept) freeKept(this.#kept);
  }
}

/** In a worker: does what comes before the first task. What is to be done after the last, if anything. */
export async function prepare(chores: unknown): Promise<(() => unknown) | undefined> {
  const { preload, initializer, initargs, finalizer } = chores as Chores;
  for (const module of preload) await loadModule(module);
  const finalize = finalizer && (await resolveTarget(finalizer));
  if (initializer) await (await resolveTarget(initializer))(...initargs);
  return finalize;
}
