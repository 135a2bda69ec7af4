import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { alive, children, waitGone, waitUntil } from '../testing/processes.js';
import { warm } from './fixtures/methods.js';
import { startProgram } from './fixtures/start-program.js';
import { Process } from './process.js';

leavesNothing({ warm });

const limit = { timeout: 60_000 };
const program = path.join(__dirname, 'fixtures', 'program.js');

const start = (scenario: string, options = {}) => startProgram([program, scenario], options);

function named(parent: number, name: string): number {
  const found = children(parent).find(({ pid }) => nameOf(pid) === name);
  assert.ok(found, `no ${name} below ${parent}`);
  return found.pid;
}

function nameOf(pid: number): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined;
  }
}

for (const victims of [['server'], ['guardian'], ['server', 'guardian'], ['guardian', 'server']]) {
  test(
    `children outlive the kill of the ${victims.join(' and the ')}, are reported, and new ones start`,
    limit,
    async () => {
      const { pid, next, ended, say } = start('two');
      const [first, second] = await next();
      const guardian = named(pid, 'mh-guardian');
      const pids: Record<string, number> = { guardian, server: named(guardian, 'mh-forkserver') };
      for (const victim of victims) {
        process.kill(pids[victim], 'SIGKILL');
        await waitGone(pids[victim]);
      }
      assert.ok(alive(first) && alive(second));
      say('start');
      assert.equal(await next(), 'new');
      process.kill(second, 'SIGKILL');
      const end = await next();
      // Where nobody was left to reap it, a process counts as killed.
      assert.deepEqual(end, ['second', null, 'SIGKILL']);
      process.kill(first, 'SIGTERM');
      const [name, code, signal] = await next();
      assert.equal(name, 'first');
      if (victims.length === 1) assert.deepEqual([code, signal], [5, null]);
      assert.deepEqual(await ended, [0, null]);
      for (const one of [...Object.values(pids), first, second]) await waitGone(one);
    },
  );
}

test('Ctrl-C to the whole group ends the family, and leaves nothing', limit, async () => {
  const { pid, next, ended } = start('two', { detached: true });
  const [, second] = await next();
  const guardian = named(pid, 'mh-guardian');
  const server = named(guardian, 'mh-forkserver');
  process.kill(-pid, 'SIGINT');
  assert.deepEqual(await ended, [null, 'SIGINT']);
  for (const one of [second, server, guardian]) await waitGone(one);
});

test('every start() and join() ends while the servers are being killed', limit, async () => {
  const { pid, next, ended, root } = start('storm');
  let kills = 0;
  let over = false;
  const told = next().finally(() => {
    over = true;
  });
  // One kill a turn, of what is there at that moment: guardian and server take turns.
  await waitUntil(
    () => {
      if (over) return true;
      const guardian = children(pid).find(child => nameOf(child.pid) === 'mh-guardian');
      const server = guardian && children(guardian.pid).find(child => nameOf(child.pid) === 'mh-forkserver');
      const victim = kills % 4 === 3 ? guardian : server;
      if (!victim || kills >= 12) return false;
      kills++;
      try {
        process.kill(victim.pid, 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error; // a server ends by itself without its guardian
      }
      return false;
    },
    'the storm to end',
    50_000,
  );
  const { right, wrong, refused } = await told;
  assert.equal(wrong, 0);
  assert.equal(right + refused, 80);
  assert.ok(right > 50, `${right} ran, ${refused} were refused`);
  assert.ok(kills > 3, `${kills} kills`);
  root.stdin.end();
  assert.deepEqual(await ended, [0, null]);
});

test('a fork server that is killed before it is ready is replaced, and leaves nothing', limit, async () => {
  const { next, ended } = start('stillborn');
  assert.deepEqual(await next(), ['new', 0]);
  assert.deepEqual(await ended, [0, null]);
});

test('the fork server runs no JavaScript: one thread, asleep', limit, async () => {
  const { pid, next, root, ended } = start('daemon');
  const [, other] = await next();
  const server = named(named(pid, 'mh-guardian'), 'mh-forkserver');
  assert.match(readFileSync(`/proc/${server}/status`, 'utf8'), /^State:\s+S[\s\S]*^Threads:\s+1$/m);
  process.kill(other, 'SIGKILL');
  root.kill('SIGKILL');
  await ended;
  await waitGone(server);
});

test('200 processes leave no descriptor and no memory behind', limit, async () => {
  const one = () => new Process({ target: () => 1 }).start();
  const measure = () => [process.memoryUsage().rss, require('node:fs').readdirSync('/proc/self/fd').length];
  let before: number[] = [];
  for (let i = 0; i < 200; i++) {
    if (i === 100) before = measure();
    assert.equal(await one().join(), true);
  }
  const [rss, descriptors] = measure();
  assert.equal(descriptors, before[1]);
  assert.ok(rss - before[0] < 20e6, `${rss - before[0]} bytes more`);
});
