import { WATCH, type Watch, type Watcher } from '../channel/waitable.js';
import { native } from '../native/native.js';
import { answerBlocked } from '../wait/doorbell.js';
import type { WaitOptions } from '../wait/options.js';
import { type Identity, identity, isRunning, type Parent } from './identity.js';
import { KnownProcess } from './known.js';
import { Process } from './process.js';
import type { ProcessOptions } from './process-options.js';

/** How often a blocked thread does what else it must, ms. */
const LOOK = 50;
/** How often to look where the kernel does not tell of the end, ms. */
const LOOK_ON_OLD_KERNELS = 50;

/** What may be done with a parent. */
const ALLOWED = new Set(['join', 'wait for']);

class KnownParent extends KnownProcess {
  readonly #pid: number;

  constructor({ name, pid }: Parent) {
    super(name, false); // daemons start no processes
    this.#pid = pid;
  }

  override get pid(): number {
    return this.#pid;
  }

  override refusal(act: string): string | undefined {
    if (ALLOWED.has(act)) return undefined;
    return `Cannot ${act} ${this.name} as it is the parent of this process: it can be waited for, and that is all`;
  }
}

/** The parent of this process. That it has ended is learned from the kernel, while somebody waits for it or asks. */
class ParentProcess extends Process {
  readonly #parent: Parent;
  #waits = 0;
  /** Will the kernel tell? */
  #isWatched = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parent: Parent) {
    super(new KnownParent(parent) as ProcessOptions<any, any>);
    this.#parent = parent;
  }

  override async join(options?: WaitOptions): Promise<boolean> {
    this.#beginWait();
    try {
      return await super.join(options);
    } finally {
      this.#endWait();
    }
  }

  override [WATCH](watcher: Watcher): Watch {
    const watch = super[WATCH](watcher);
    this.#beginWait();
    let stopped = false;
    return {
      stop: () => {
        watch.stop();
        if (!stopped) this.#endWait();
        stopped = true;
      },
    };
  }

  protected override block(done: () => boolean, timeout: number): boolean {
    const deadline = performance.now() + timeout;
    for (let left = timeout; ; left = deadline - performance.now()) {
      this.update();
      if (done()) return true;
      if (left <= 0) return false;
      this.#sleep(Math.min(left, LOOK, answerBlocked()));
    }
  }

  #sleep(ms: number): void {
    native.awaitAny(Int32Array.of(this.#parent.pid), ms + 1);
  }

  /** Takes note of its end. */
  override update(): void {
    if (this.end || isRunning(this.#parent)) return;
    this.#stopWatching();
    this.finish({ exitCode: null, signalCode: null }); // that is told to its own parent only
  }

  #beginWait(): void {
    if (this.end || this.#waits++ > 0) return;
    const look = () => this.update();
    try {
      if (!this.#isWatched) native.watchProcess(this.#parent.pid, look);
      this.#isWatched = true;
    } catch {
      this.#timer = setInterval(look, LOOK_ON_OLD_KERNELS).unref(); // or it has ended
    }
    this.update(); // after that: now it is known whose end is watched for
  }

  #endWait(): void {
    if (!this.end && --this.#waits === 0) this.#stopWatching();
  }

  #stopWatching(): void {
    clearInterval(this.#timer);
  }
}

let found: { readonly of: Identity; readonly parent: ParentProcess } | undefined;

/**
 * The process that started this one; null in the program itself. It has a name, a pid, and isAlive(), which is the truth also
 * when it has ended and its pid is another's. It can be waited for, by join(), joinSync() and wait(), and told
 * apart by what the kernel says of it (`state`, `usage()`), and that is all: its exit code is not for its children.
 *
 * Python: `multiprocessing.parent_process`.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { currentProcess, parentProcess, Process } from 'manyhands';
 *
 * const tell = () => [currentProcess().name, parentProcess()?.name, parentProcess()?.pid];
 * const child = new Process({ target: tell, name: 'child' }).start();
 * assert.deepEqual(await child.result(), ['child', 'MainProcess', process.pid]);
 * assert.equal(parentProcess(), null);
 * ```
 */
export function parentProcess(): Process | null {
  const of = identity();
  if (!of) return null;
  if (found?.of !== of) found = { of, parent: new ParentProcess(of.parent) };
  return found.parent;
}
