import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { self } from '../../memory/participants.js';
import type { Carrier, Peer } from '../../testing/carriers.js';
import { waitUntil } from '../../testing/processes.js';
import type { Guard } from '../guard.js';
import type { Lock } from '../lock.js';
import { random } from './random.js';
import { abandonments, count, enterAs, leaveAs } from './tools.js';

/** How one may end that holds something. kill: by its starter, as abruptly as can be. */
export const CRASHES = ['kill', 'process.exit()', 'an uncaught error', 'returning'] as const;
export type Crash = (typeof CRASHES)[number];

/** Ends this process or thread. */
export async function crash(how: Crash): Promise<void> {
  if (how === 'returning') return;
  if (how === 'process.exit()') process.exit(3);
  process.stderr.write = () => true; // it would say so
  if (how === 'an uncaught error')
    setImmediate(() => {
      throw new Error('uncaught');
    });
  await new Promise(() => setInterval(() => {}, 1e6));
}

/** One that is at the lock in all ways until it is killed, or nothing is left to do. */
export async function contend(
  lock: Lock,
  seed: number,
  tasks: number,
  end: { isSet(): boolean },
): Promise<void> {
  const next = random(seed);
  const tag = self();
  const inside = (guard: Guard) => {
    enterAs(lock, tag, guard.abandoned);
    if (next() < 0.1) for (const until = performance.now() + next(); performance.now() < until; );
  };
  const blocking = () => {
    const how = next();
    const timeout = how < 0.3 ? next() * 3 : how < 0.4 ? 0 : undefined;
    try {
      const guard =
        how < 0.5 ? lock.acquireSync(timeout === undefined ? undefined : { timeout }) : lock.tryAcquire();
      if (!guard) return;
      inside(guard);
      leaveAs(lock, tag);
      guard.release();
    } catch (error) {
      assert.equal((error as { code?: string }).code, how < 0.4 ? 'ERR_TIMEOUT' : 'ERR_DEADLOCK');
    }
  };
  let flows = 0;
  const flowing = async () => {
    const how = next();
    const controller = new AbortController();
    const options =
      how < 0.3 ? { timeout: next() * 3 } : how < 0.5 ? { signal: controller.signal } : undefined;
    if (how >= 0.3 && how < 0.5) setTimeout(() => controller.abort(new Error('enough')), next() * 3);
    try {
      const guard = await lock.acquire(options);
      assert.equal(flows++, 0);
      inside(guard);
      if (next() < 0.3) await new Promise(resolve => setImmediate(resolve));
      leaveAs(lock, tag);
      flows--;
      guard.release();
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      if (code !== 'ERR_TIMEOUT' && message !== 'enough') throw error;
    }
  };
  const task = async () => {
    while (!end.isSet()) {
      if (next() < 0.15 && flows === 0) blocking();
      else await flowing();
      if (next() < 0.3) await new Promise(resolve => setImmediate(resolve));
    }
  };
  await Promise.all(Array.from({ length: tasks }, task));
}

/** Kills those who contend, at random moments, and starts new ones. Faults are counted beside the lock. */
export async function storm({
  carrier,
  lock,
  duration,
  seed,
  peers = 4,
}: {
  carrier: Carrier;
  lock: Lock;
  duration: number;
  seed: number;
  peers?: number;
}): Promise<{ kills: number; turns: number; abandoned: number }> {
  const { EventFlag } = await import('../event-flag.js');
  using end = new EventFlag();
  const next = random(seed);
  const start = () => carrier.start(contend, lock, Math.floor(next() * 2 ** 32), 3, end);
  const crowd: Peer<void>[] = Array.from({ length: peers }, start);
  let kills = 0;
  const gone: Promise<unknown>[] = [];
  for (const deadline = performance.now() + duration; performance.now() < deadline; ) {
    const before = count(lock);
    await waitUntil(() => count(lock) > before, 'somebody to have it', 30_000);
    if (next() < 0.5) (await lock.acquire({ timeout: 30_000 })).release();
    await sleep(next() * 10);
    const [victim] = crowd.splice(next() < 0.5 ? 0 : Math.floor(next() * peers), 1);
    victim.kill();
    kills++;
    gone.push(
      victim.result().catch(error => {
        if ((error as { code?: string }).code !== 'ERR_WORKER_DIED') throw error;
      }),
    );
    crowd.push(start());
    await victim.join();
  }
  end.set();
  await Promise.all(crowd.map(peer => peer.result({ timeout: 60_000 })));
  await Promise.all(crowd.map(peer => peer.join()));
  await Promise.all(gone);
  return { kills, turns: count(lock), abandoned: abandonments(lock) };
}
