/**
 * Producers at one end of a channel, as many consumers at the other. A producer is `fill(make, from, to)`, which puts the
 * items make(from) … make(to - 1), a consumer `drain(take)`, which hands each item it gets to `take` until it gets a
 * null; each in the contender's own quickest loop, and either may return a promise. contenders/cpython.py does the same.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { arrive, meet } from './contention.mjs';

/** So many items are put between two looks at the clock, and as one by those who can. */
export const BATCH = 100;

/** Runs `stream` of a contender in a folder of its own: k items a second, and the ms that consumers were behind. */
export async function rateOf({ stream }, options) {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-bench-'));
  try {
    const parts = await stream({ ...options, folder });
    const sum = of => parts.reduce((total, part) => total + (part[of] ?? 0), 0);
    if (sum('put') === 0 || sum('put') !== sum('got') || sum('putSum') !== sum('gotSum'))
      throw new Error(`${sum('put')} items were put, ${sum('got')} arrived, or others than these`);
    const took = Math.max(...parts.map(part => part.took ?? 0));
    return { rate: sum('got') / took, behind: took - options.ms };
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What a producer does: twice, once to warm up, it puts items for a while, and after them a null for one consumer. */
export async function produce(fill, { item, size, ...options }) {
  const { make } = kinds[item](size);
  let put;
  for (const { file, parties, ms } of passes(options)) {
    const start = await meet(file, parties);
    for (put = 0; Date.now() < start + ms; put += BATCH) {
      const waiting = fill(make, put, put + BATCH);
      if (waiting) await waiting;
    }
    await fill(() => null, 0, 1);
  }
  return { put, putSum: (put * (put - 1)) / 2 };
}

/** What a consumer does: it waits already when the first item is put. `took`: ms from then until it got its null. */
export async function consume(drain, { item, size, ...options }) {
  const { read } = kinds[item](size);
  let part;
  for (const { file, parties } of passes(options)) {
    let got = 0;
    let gotSum = 0;
    const start = await arrive(file, parties);
    await drain(item => {
      got++;
      gotSum += read(item);
    });
    part = { got, gotSum, took: Date.now() - start };
  }
  return part;
}

function passes({ folder, pairs, warmUp, ms }) {
  const pass = (name, length) => ({ file: path.join(folder, name), parties: 2 * pairs, ms: length });
  return [pass('warm-up', warmUp), pass('measured', ms)];
}

/** Each item tells which it is, so that those that arrive can be compared with those that were put. */
const kinds = {
  number: () => ({ make: i => i, read: item => item }),
  object: () => ({ make: i => ({ id: i, name: 'a small item', done: false }), read: item => item.id }),
  bytes(size) {
    const bytes = new Uint8Array(size).fill(1);
    const view = new DataView(bytes.buffer);
    return {
      make(i) {
        view.setUint32(0, i);
        return bytes;
      },
      read(item) {
        if (item.length !== size) throw new Error(`${item.length} bytes arrived, not ${size}`);
        return new DataView(item.buffer, item.byteOffset, 4).getUint32(0);
      },
    };
  },
};
