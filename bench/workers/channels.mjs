/** What puts into a channel of ours and gets from it, in each of its forms. */
import * as stream from '../harness/stream.mjs';

export const produce = (channel, { form, ...options }) => stream.produce(fillers[form](channel), options);

export const consume = (channel, { form, ...options }) => stream.consume(drainers[form](channel), options);

const fillers = {
  sync: queue => (make, from, to) => {
    for (let i = from; i < to; i++) queue.putSync(make(i));
  },
  async: queue => async (make, from, to) => {
    for (let i = from; i < to; i++) await queue.put(make(i));
  },
  many: queue => (make, from, to) =>
    queue.putMany(Array.from({ length: to - from }, (_, i) => make(from + i))),
  'pipe, sync': connection => (make, from, to) => {
    for (let i = from; i < to; i++) connection.sendSync(make(i));
  },
};

const drainers = {
  sync: queue => take => {
    for (let item = queue.getSync(); item !== null; item = queue.getSync()) take(item);
  },
  async: queue => async take => {
    for (let item = await queue.get(); item !== null; item = await queue.get()) take(item);
  },
  many: queue => async take => {
    for (let ends = 0; ends === 0; ) {
      for (const item of await queue.getMany(stream.BATCH))
        if (item === null) ends++;
        else take(item);
      // The null of another consumer came in the same batch; what it ends is in the queue before it still.
      for (let others = ends - 1; others > 0; others--) await queue.put(null);
    }
  },
  'pipe, sync': connection => take => {
    for (let item = connection.recvSync(); item !== null; item = connection.recvSync()) take(item);
  },
};
