import { onFork } from '../../wait/forks.js';

/** What has a socket that a fork of this process must not have. */
export interface Inheritable {
  /** In the child of a fork: closes the copy, so that peers see the end when the parent closes its own. Tells nobody. */
  abandon(): void;
}

const open = new Set<Inheritable>();

/** Sockets are their thread's: the child of a fork has none of those that its parent has open. */
export function keepFromForks(one: Inheritable): void {
  open.add(one);
}

export function isClosed(one: Inheritable): void {
  open.delete(one);
}

onFork(() => {
  if (open.size === 0) return undefined;
  return {
    take: () => {
      for (const one of open) one.abandon();
      open.clear();
    },
  };
});
