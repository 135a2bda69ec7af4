import { Queue } from './queue.js';

/** Long enough to need a block. */
const LONG = 'x'.repeat(5000);

/** Puts and gets once in each form: for the fork server, so that its children need not compile it. */
export async function rehearseChannels(): Promise<void> {
  using queue = new Queue();
  for (const item of [1, LONG]) {
    queue.putSync(item);
    queue.getSync();
  }
  try {
    queue.getSync({ timeout: 0.001 });
  } catch {} // time ran out
  const waiting = queue.get();
  await queue.put(1);
  await waiting;
}
