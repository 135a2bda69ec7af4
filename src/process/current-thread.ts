import { isMainThread, threadId } from 'node:worker_threads';
import { LifecycleError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { Thread } from './thread.js';

/** What a thread that runs knows of itself, or of the main thread. To wait for it, or to end it, is for who started it. */
class KnownThread extends Thread {
  readonly #ident: number;
  readonly #nativeId: number;

  constructor(name: string, daemon: boolean, ident: number, nativeId: number) {
    super({ name, daemon });
    this.#ident = ident;
    this.#nativeId = nativeId;
  }

  override get ident(): number {
    return this.#ident;
  }

  override get nativeId(): number {
    return this.#nativeId;
  }

  override get daemon(): boolean {
    return super.daemon;
  }
  override set daemon(_: boolean) {
    this.#refuse('set daemon of');
  }

  override start(): this {
    return this.#refuse('start');
  }
  override async join(): Promise<boolean> {
    return this.#refuse('join');
  }
  override joinSync(): boolean {
    return this.#refuse('join');
  }
  override async result(): Promise<never> {
    return this.#refuse('await');
  }
  override terminate(): void {
    this.#refuse('terminate');
  }
  override isAlive(): boolean {
    return true;
  }
  override ref(): this {
    return this;
  }
  override unref(): this {
    return this;
  }
  override async [Symbol.asyncDispose](): Promise<void> {
    this.#refuse('terminate');
  }

  #refuse(act: string): never {
    throw new LifecycleError(
      `Cannot ${act} ${this.name} from here: that is for who started it, by the Thread that was made for it`,
    );
  }
}

const MAIN = 'MainThread';
const MAIN_IDENT = 1;
let own: Thread | undefined;
let main: Thread | undefined;

/** In a Thread: who it is. */
export function setCurrentThread(name: string, daemon: boolean): void {
  own = new KnownThread(name, daemon, threadId + 1, native.threadId());
}

/**
 * The thread that this is called on: its name, ident, nativeId and daemon. It cannot be waited for from within.
 * On the main thread its name is `MainThread`; on a worker that is no Thread of this library, a pool's for one, `Worker-5`.
 */
export function currentThread(): Thread {
  if (isMainThread) return mainThread();
  own ??= new KnownThread(`Worker-${threadId}`, false, threadId + 1, native.threadId());
  return own;
}

/** The main thread of this process, seen from wherever this is called. */
export function mainThread(): Thread {
  if (main?.nativeId !== process.pid) main = new KnownThread(MAIN, false, MAIN_IDENT, process.pid); // or it is a fork by now
  return main;
}
