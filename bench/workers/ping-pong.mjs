/** The other side of a round trip over what one waits at, for as long as it lives. `marker`: made longer when it is there. */
import { appendFileSync } from 'node:fs';

const other = {
  EventFlag([there, back], marker) {
    appendFileSync(marker, '.');
    for (;;) {
      there.waitSync();
      there.clear();
      back.set();
    }
  },
  /** It has the lock from a notify until its wait: so the two alternate, and there is no flag to look at. */
  Condition([condition], marker) {
    condition.lock.acquireSync();
    appendFileSync(marker, '.');
    for (;;) {
      condition.waitSync();
      condition.notify();
    }
  },
};

/** One side of a channel, by what it is and its form: how it sends, and how it gets what the other side sent. */
export const ends = {
  Queue: ({ there, back }) => ({ send: item => there.putSync(item), receive: () => back.getSync() }),
  'Queue, async': ({ there, back }) => ({ send: item => there.put(item), receive: () => back.get() }),
  Pipe: ({ end }) => ({ send: item => end.sendSync(item), receive: () => end.recvSync() }),
  'Pipe, async': ({ end }) => ({ send: item => end.send(item), receive: () => end.recv() }),
  'Pipe, bytes': ({ end }) => ({ send: item => end.sendBytes(item), receive: () => end.recvBytes() }),
};

export const isBlocking = of => of === 'Queue' || of === 'Pipe';

export const pingPong = (of, parts, marker) =>
  of in ends ? sendBack(of, parts, marker) : other[of](parts, marker);

async function sendBack(of, parts, marker) {
  const { send, receive } = ends[of](parts);
  appendFileSync(marker, '.');
  if (isBlocking(of)) for (;;) send(receive());
  else for (;;) await send(await receive());
}
