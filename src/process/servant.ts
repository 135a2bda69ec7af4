import { Process } from './process.js';
import type { StartMethod } from './start-method.js';

/**
 * A process of the library's own: it ends with the process that started it, yet may have children of its own, which end with it, and
 * keeps nobody's event loop alive.
 */
export class Servant extends Process {
  readonly #method: StartMethod | undefined;

  /** `kind`: what it is named for, in place of `Process`. `method`: undefined for the default. */
  constructor(
    target: { module: string; export: string },
    args: unknown[],
    kind: string,
    method: StartMethod | undefined,
  ) {
    super({ target, args });
    this.name = this.name.replace('Process', kind);
    this.#method = method;
    this.unref();
  }

  protected override get startMethod(): StartMethod {
    return this.#method ?? super.startMethod;
  }

  protected override get endsWithParent(): boolean {
    return true;
  }
}
