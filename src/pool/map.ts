import { AsyncResult } from './async-result.js';
import { Partly } from './chunk.js';
import { checkCount, type TaskOptions } from './options.js';

export interface MapProgress {
  /** Items whose call is over. */
  done: number;
  /** Of these, items whose call failed. */
  failed: number;
  /** All items; undefined: that is not known yet. */
  total: number | undefined;
  /** Milliseconds since the map was given. */
  elapsed: number;
  /** Items a second. */
  rate: number;
  /** Milliseconds until all are done, if it goes on like that; undefined: `total` is not known. */
  eta: number | undefined;
}

export interface MapOptions extends TaskOptions {
  /** Items a task; default chosen from the measured cost of an item. */
  chunksize?: number;
  /** Called here whenever a chunk is over. */
  onProgress?: (progress: MapProgress) => void;
}

/** What a map needs of its pool. */
export interface ChunkRunner {
  /** How many workers there are. */
  readonly size: number;
  /** Is there room for a task, as `maxPending` has it? */
  readonly hasRoom: boolean;
  /** Waits for that. Rejects if there will be none any more. */
  room(): Promise<void>;
  /** Gives the workers a chunk. What cannot be given rejects; throws if the pool takes no more. */
  submit(items: unknown[]): AsyncResult<unknown[] | Partly>;
}

/** @throws {RangeError} */
export function checkMapOptions({ chunksize }: MapOptions): void {
  checkCount('chunksize', chunksize);
}

/** All results in the order of the items. */
export function mapAll(
  runner: ChunkRunner,
  items: Iterable<unknown> | AsyncIterable<unknown>,
  options: MapOptions,
): AsyncResult<unknown[]> {
  const result = AsyncResult.pending<AsyncResult<unknown[]>>();
  const chunks: AsyncResult<unknown[] | Partly>[] = [];
  result.setSource({
    cancel: () => {
      for (const chunk of chunks) chunk.cancel();
      return true;
    },
    withdraw: () => chunks.filter(chunk => chunk.withdraw()).length > 0,
  });
  void collectAll(runner, items, options, chunks).then(
    values => result.give(values),
    error => result.fail(error),
  );
  return result;
}

async function collectAll(
  runner: ChunkRunner,
  items: Iterable<unknown> | AsyncIterable<unknown>,
  options: MapOptions,
  chunks: AsyncResult<unknown[] | Partly>[],
): Promise<unknown[]> {
  const list = Symbol.asyncIterator in items ? await collect(items) : Array.from(items);
  const chunksize = options.chunksize ?? Math.max(1, Math.ceil(list.length / (runner.size * 4)));
  for (let i = 0; i < list.length; i += chunksize) chunks.push(runner.submit(list.slice(i, i + chunksize)));
  const settled = await Promise.allSettled(chunks);
  const values: unknown[] = [];
  for (const chunk of settled) {
    if (chunk.status === 'rejected') throw chunk.reason;
    if (chunk.value instanceof Partly) throw [...chunk.value.errors.values()][0];
    for (const value of chunk.value) values.push(value);
  }
  return values;
}

async function collect(items: AsyncIterable<unknown>): Promise<unknown[]> {
  const list: unknown[] = [];
  for await (const item of items) list.push(item);
  return list;
}
