import type { ChildProcess } from 'node:child_process';
import { subscribe } from 'node:diagnostics_channel';
import type { Stream } from 'node:stream';
import { isSingleThreaded } from '../platform/single-threaded.js';

/*
 * What node:child_process has started here. A fork of this process hears nothing of their ends, and what they say is for its
 * parent alone: if both read, each would get some of it.
 */

/** Those not known to have ended, where there may be a fork. */
const subprocesses = new Set<ChildProcess>();

if (isSingleThreaded)
  subscribe('child_process', message => {
    const { process: started } = message as { process: ChildProcess };
    subprocesses.add(started);
    started.once('close', () => subprocesses.delete(started));
  });

/** A stream's or channel's part that reads. */
interface Handle {
  readStop?(): void;
  unref?(): void;
}

/** In a forked process: they are the parent's, and so is the channel to who started that. */
export function disownSubprocesses(): void {
  for (const { stdio } of subprocesses) for (const stream of stdio ?? []) turnAwayFrom(stream);
  for (const end of [process, ...subprocesses]) {
    const channel = Object.getOwnPropertySymbols(end).find(
      ({ description }) => description === 'kChannelHandle',
    );
    if (channel) turnAway((end as unknown as Record<symbol, Handle | null>)[channel]);
  }
  subprocesses.clear();
}

/** Does not read from it, nor stay for it. */
export function turnAwayFrom(stream: Stream | null | undefined): void {
  turnAway((stream as { _handle?: Handle } | null | undefined)?._handle);
}

function turnAway(handle: Handle | null | undefined): void {
  handle?.readStop?.();
  handle?.unref?.();
}
