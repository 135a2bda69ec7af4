/*
 * What wait() needs of the objects that it waits for, whatever layer they are of.
 */
export const IS_READY: unique symbol = Symbol('isReady');
export const WATCH: unique symbol = Symbol('watch');

/** Hears that what it watches may have become ready. */
export interface Watcher {
  notify(): void;
}

/** Something that is being watched. */
export interface Watch {
  /** The watcher hears no more of it. Nothing is left behind. A second call does nothing. */
  stop(): void;
}

/** A queue, a connection, a process, a thread: something that {@link wait | wait()} waits for. */
export interface Waitable {
  /** @hidden Is it ready at this instant? Takes nothing. @throws It cannot be waited for: it is closed, or has never been started. */
  [IS_READY](): boolean;
  /**
   * @hidden Has `watcher` notified once it may have become ready after this call; once at most, never before this returns, perhaps for
   * nothing. So watch first, then look, and watch again if it was for nothing. Does not keep the event loop alive.
   */
  [WATCH](watcher: Watcher): Watch;
}
