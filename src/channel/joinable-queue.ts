import { LifecycleError, TimeoutError, WorkerDiedError } from '../errors/errors.js';
import { nameOf } from '../sync/naming.js';
import { timeoutOf, type WaitOptions } from '../wait/options.js';
import type { Ledger } from './ledger.js';
import { Queue, registerQueue } from './queue.js';
import type { Sort } from './queue-cell.js';

const SORT: Sort = { kind: 'JoinableQueue', order: 'first', joinable: true };

/** After a death, whoever joins looks again. */
const LOOK_AGAIN = () => false;

/**
 * A queue that knows whether what was put has been dealt with: each item that is got owes one `taskDone()`, and `join()` waits until
 * nothing is left unfinished, neither in the queue nor with those who got it. Otherwise it is a `Queue`.
 *
 * Whose a debt is: the thread's that got the item. Its `taskDone()` pays what it owes; if it owes nothing, it pays for others,
 * first for those that have ended. What `getMany` brings, and an item that could not be decoded, owes as much.
 *
 * Death: what a thread owes that ends, however it ends, or that closes the queue or drops it, stays owed. When nothing is left in the queue
 * and nobody is left who owes and could pay, `join()` fails with a WorkerDiedError rather than wait for ever; `unfinished` says
 * how many items that are. It goes on failing until somebody calls `taskDone()` so many times for them.
 *
 * Python: `multiprocessing.JoinableQueue`, whose join() waits for ever for a consumer that was killed, and whose task_done() may
 * pay for items that nobody has got yet.
 *
 * @example
 * ```ts
 * import assert from 'node:assert/strict';
 * import { JoinableQueue, Thread } from 'manyhands';
 *
 * using jobs = new JoinableQueue<string>();
 * const work = async () => {
 *   for await (const job of jobs) {
 *     job.toUpperCase(); // whatever there is to do
 *     jobs.taskDone();
 *   }
 * };
 * const worker = new Thread({ target: work }).start();
 * await jobs.putMany(['fetch', 'parse', 'store']);
 * await jobs.join(); // all three are done, and not only taken
 * assert.ok(jobs.empty());
 * jobs.shutdown();
 * await worker.join();
 * ```
 */
export class JoinableQueue<T = any> extends Queue<T> {
  declare protected readonly ledger: Ledger;
  /** End async waits of this thread. */
  readonly #waits = new Set<(reason: unknown) => void>();

  /** @internal */
  protected override get sort(): Sort {
    return SORT;
  }

  /**
   * An item that was got has been dealt with. Wakes those who join if that was the last one.
   * @throws {LifecycleError} Nobody owes anything: it was called more often than items were got.
   */
  taskDone(): void {
    this.check();
    const { exchange, ledger } = this;
    exchange.lock();
    const paid = ledger.pay();
    const called = paid && ledger.settle(exchange.count);
    exchange.unlock();
    if (called) ledger.call();
    if (paid) return;
    throw new LifecycleError(
      `Cannot be done with an item of ${nameOf(this.cell, this)} as none is owed: call taskDone() once for each that was got`,
    );
  }

  /**
   * Resolves once nothing is left unfinished, or at once if nothing is. It is enough that this was so for a moment.
   * @throws {TimeoutError} Something was left when `timeout` had passed.
   * @throws {WorkerDiedError} All that is left was got by threads that have ended, or have closed the queue.
   * @throws {ClosedError} This queue was closed or disposed of.
   */
  async join(options: WaitOptions = {}): Promise<void> {
    this.check();
    const deadline = performance.now() + timeoutOf(options);
    options.signal?.throwIfAborted();
    const { cell, ledger } = this;
    let began: number | undefined;
    for (;;) {
      const look = this.#look(began);
      if (look === undefined) return;
      began ??= look.ends;
      let fail: ((reason: unknown) => void) | undefined;
      try {
        const { outcome, token } = await cell.home.park(ledger.word, look.seen, {
          timeout: Math.max(0, deadline - performance.now()),
          signal: options.signal,
          recheck: LOOK_AGAIN,
          queued: (_, failing) => {
            fail = failing;
            this.#waits.add(failing);
          },
        });
        if (outcome === 'woken' && token !== began) return;
        if (outcome === 'timeout')
          throw new TimeoutError(
            `Cannot join ${nameOf(cell, this)} as not all was done in time: wait longer, or see who got items and did not call taskDone()`,
          );
      } finally {
        if (fail) this.#waits.delete(fail);
      }
    }
  }

  /** {@link join | join()}, blocking this thread. False: something was left when `timeout` had passed. */
  joinSync(options?: { timeout?: number }): boolean {
    this.check();
    const deadline = performance.now() + timeoutOf(options);
    const { cell, ledger } = this;
    let began: number | undefined;
    for (;;) {
      const look = this.#look(began);
      if (look === undefined) return true;
      began ??= look.ends;
      const timeout = Math.max(0, deadline - performance.now());
      const { outcome, token } = cell.home.parkSync(ledger.word, look.seen, { timeout, recheck: LOOK_AGAIN });
      if (outcome === 'woken' && token !== began) return true;
      if (outcome === 'timeout') return false;
    }
  }

  override shutdown(options: { immediate?: boolean } = {}): void {
    super.shutdown(options);
    this.#settle();
  }

  /** @internal */
  protected override abandon(): void {
    for (const fail of [...this.#waits]) fail(this.closed());
  }

  /** Items or debts have gone by another way than taskDone(). */
  #settle(): void {
    const { exchange, ledger } = this;
    exchange.lock();
    const called = ledger.settle(exchange.count);
    exchange.unlock();
    if (called) ledger.call();
  }

  /** What one who joins is to wait for; undefined: it need not. `began`: how often all was done when it began to wait. */
  #look(began: number | undefined): { seen: number; ends: number } | undefined {
    this.check();
    const { exchange, ledger } = this;
    exchange.lock();
    const { ends, owed } = ledger;
    const seen = this.cell.words[ledger.word];
    const left = exchange.count;
    const isLost = left === 0 && owed > 0 && !ledger.canBePaid();
    const debtors = isLost ? ledger.debtors() : [];
    exchange.unlock();
    if (left + owed === 0 || (began !== undefined && ends !== began)) return undefined;
    if (!isLost) return { seen, ends };
    const whose = debtors.map(({ pid, owes }) => `${owes} by process ${pid}`).join(', ');
    throw Object.assign(
      new WorkerDiedError(
        `Cannot join ${nameOf(this.cell, this)} as ${owed === 1 ? '1 item was' : `${owed} items were`} got by those who have ended or closed it without taskDone() (${whose}): do what is lost again, and call taskDone() once for each`,
        { pid: debtors[0].pid, exitCode: null, signalCode: null },
      ),
      { unfinished: owed },
    );
  }
}

registerQueue(JoinableQueue, 'JoinableQueue');
