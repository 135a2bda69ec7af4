/** The longest delay that setTimeout takes. */
const LONGEST_TIMER = 2 ** 31 - 1;

/**
 * Calls `expire` once performance.now() has reached `deadline`, never before and never within this call. Returns
 * the way to call it off. `ref`: keeps the event loop alive until then.
 */
export function atDeadline(deadline: number, expire: () => void, ref: boolean): () => void {
  let timer: NodeJS.Timeout;
  const arm = () => {
    timer = setTimeout(look, Math.min(deadline - performance.now(), LONGEST_TIMER));
    if (!ref) timer.unref();
  };
  // Timers of libuv count whole milliseconds and may be early by a part of one.
  const look = () => (performance.now() >= deadline ? expire() : arm());
  arm();
  return () => clearTimeout(timer);
}
