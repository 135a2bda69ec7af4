import { carriers } from '../../testing/carriers.js';
import { EventFlag } from '../event-flag.js';

/** Starts what the library keeps for as long as a process lives. */
export async function warm(): Promise<void> {
  using flag = new EventFlag();
  const setIt = (it: EventFlag) => it.set();
  for (const carrier of carriers) {
    const peer = carrier.start(setIt, flag);
    await Promise.all([flag.wait(), peer.result(), peer.join()]);
    flag.clear();
  }
}
