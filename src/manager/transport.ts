/** A connection that carries whole frames, in order, to somebody who has proved to have the key. */
export interface Transport {
  /** Sends a frame, at once or with others at the end of the turn. The bytes are the caller's again when this returns. */
  send(frame: Uint8Array): void;
  /** Gives the kernel what it takes of what has been sent, now. */
  flushSync(): void;
  /** Bytes that the kernel has not taken. */
  readonly buffered: number;
  /** Called with each frame, whose bytes are good until it returns. */
  onFrame: (frame: Uint8Array) => void;
  /** Called once, when nothing more will come: the other side has gone, or this one has closed it. */
  onEnd: (error?: Error) => void;
  /** Called when all of what was buffered has been taken. */
  onDrain: () => void;
  /** Stops and goes on calling onFrame. */
  pause(): void;
  resume(): void;
  /** It keeps the event loop alive, or not: so it is at first. */
  ref(): void;
  unref(): void;
  /** Ends it: after what was sent has gone, or at once. */
  close(options?: { now?: boolean }): void;
}
