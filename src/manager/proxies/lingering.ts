import { RemoteObject } from '../remote-object.js';

/** A proxy that has, at times, more to say of what it was given: then it lets go of its object only after that. */
export abstract class LingeringProxy extends RemoteObject {
  #uses = 0;
  #isLeaving = false;

  /** There will be more to say. */
  protected begin(): void {
    this.#uses++;
  }

  /** It has been said. */
  protected end(): void {
    this.#uses--;
    if (this.#isLeaving) void this[Symbol.asyncDispose]();
  }

  /** Lets go of the object, once all has been said. A second call does nothing. */
  override async [Symbol.asyncDispose](): Promise<void> {
    this.#isLeaving = true;
    if (this.#uses === 0) await super[Symbol.asyncDispose]();
  }
}
