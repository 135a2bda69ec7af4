import { type Call, type Client, runCall } from '../call.js';

type Method = (...args: any[]) => unknown;

interface Running extends Call {
  readonly controller: AbortController;
}

let clients = 0;

/** A client whose calls are made in this thread: for served objects by themselves. */
export class TestClient implements Client {
  readonly name = `process ${4000 + ++clients}, thread 0`;
  readonly isFamily = true;
  hasEnded = false;
  readonly #callbacks = new Set<() => void>();
  /** Calls that have not been answered. */
  readonly #running = new Set<Running>();

  onEnd(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  /** Calls a method as this client. */
  async call<T extends object, M extends keyof T>(
    object: T,
    method: M,
    ...args: T[M] extends (...given: infer A) => unknown ? A : never
  ): Promise<T[M] extends Method ? Awaited<ReturnType<T[M]>> : never> {
    return (await this.ask(new AbortController(), object, method, ...args)) as never;
  }

  /** The same; `controller` gives it up. */
  async ask<T extends object, M extends keyof T>(
    controller: AbortController,
    object: T,
    method: M,
    ...args: T[M] extends (...given: infer A) => unknown ? A : never
  ): Promise<unknown> {
    const running: Running = {
      client: this,
      controller,
      signal: controller.signal,
      onLost: () => {},
    };
    this.#running.add(running);
    try {
      return await (runCall({ callOf: () => running }, 1, object, object[method] as Method, args) as unknown);
    } finally {
      this.#running.delete(running);
    }
  }

  /** Its connection ends: what it asked for is given up. */
  end(): void {
    this.hasEnded = true;
    for (const { controller } of this.#running) controller.abort(new Error('gone'));
    for (const callback of this.#callbacks) callback();
  }
}
