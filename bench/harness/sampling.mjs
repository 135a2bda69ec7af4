/** What something takes, again and again. `once` may return a promise; all times are in ms. */

/** What `once` takes each time, for about `ms`, after having been run for `warmUp`. */
export async function sample(once, { warmUp, ms, least }) {
  await runFor(once, warmUp);
  return timesOf(once, { ms, least });
}

export async function runFor(once, ms) {
  for (const from = performance.now(); performance.now() - from < ms; ) await once();
}

/** What it takes each time, for about `ms`, and `least` times at least. */
export async function timesOf(once, { ms, least }) {
  const times = [];
  for (const from = performance.now(); times.length < least || performance.now() - from < ms; )
    times.push(await timed(once));
  return times;
}

export async function timed(once) {
  const from = performance.now();
  const waiting = once();
  if (waiting) await waiting;
  return performance.now() - from;
}
