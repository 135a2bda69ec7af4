/** Milliseconds on a clock that never jumps, from an origin of this process's own. */
export function now(): number {
  return performance.now();
}

/** Milliseconds since 1970. May jump: for people to read, never to wait by. */
export function epoch(): number {
  return Date.now();
}
