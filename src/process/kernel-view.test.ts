import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { describe, test } from 'node:test';
import { LifecycleError } from '../errors/errors.js';
import { native } from '../native/native.js';
import { EventFlag } from '../sync/event-flag.js';
import { leavesNothing } from '../testing/leaks.js';
import { waitUntil } from '../testing/processes.js';
import { carriers, warm } from './fixtures/methods.js';

/* What the kernel tells of a process, and is told. */
leavesNothing({ warm });

const limit = { timeout: 30_000 };
const forever = () => new Promise(() => setInterval(() => {}, 1000));
const busily = () => {
  for (;;);
};
const [cpu] = native.getAffinity(0);

for (const [method, Process] of carriers) {
  describe(`seen from outside, a process by ${method}`, () => {
    test('is ready or running: of two that are busy on one CPU, one waits for the other', limit, async () => {
      const make = () => new Process({ target: busily, affinity: [cpu] }).start();
      await using first = make();
      await using second = make();
      const [seen, other] = [new Set<string>(), new Set<string>()];
      let samples = 0;
      let both = 0;
      const look = () => {
        const states = `${first.state} ${second.state}`;
        if (first.affinity.length > 1 || second.affinity.length > 1) return false; // not there yet
        samples++;
        if (states === 'running ready') seen.add('first');
        if (states === 'ready running') other.add('second');
        if (states === 'running running') both++; // they took turns between the two looks
        return seen.size + other.size === 2 && samples >= 50;
      };
      await waitUntil(look, () => `both to have had the CPU: ${samples} looks`, 20_000);
      assert.ok(both < samples / 4, `both ran in ${both} of ${samples} looks`);
    });

    test('uses what it uses: CPU time finer than a tick, memory, threads', limit, async () => {
      await using busy = new Process({ target: busily }).start();
      const before = busy.usage().cpu;
      await waitUntil(() => busy.usage().cpu > before + 20, 'it to use the CPU');
      const { cpu, rss, pss, threads, priority } = busy.usage();
      assert.notEqual(cpu % 1, 0);
      assert.ok(rss > 1e6 && pss > 1e5 && pss <= rss, `${rss}, ${pss}`);
      assert.equal(threads, readdirSync(`/proc/${busy.pid}/task`).length);
      assert.equal(priority, os.getPriority());
      await using idle = new Process({ target: forever }).start();
      await waitUntil(() => idle.state === 'sleeping', 'it to sleep');
    });

    test('has the priority and the CPUs that it is told, with all its threads', limit, async () => {
      const target = async (up: EventFlag) => {
        const worker = new (require('node:worker_threads').Worker)('setInterval(() => {}, 1000)', {
          eval: true,
        });
        await new Promise(resolve => worker.once('online', resolve));
        up.set();
      };
      using up = new EventFlag();
      await using child = new Process({ target, args: [up], priority: 1, affinity: [cpu] }).start();
      await up.wait();
      const all = <T>(look: (tid: number) => T) =>
        readdirSync(`/proc/${child.pid}/task`).map(tid => look(Number(tid)));
      await waitUntil(() => all(os.getPriority).every(nice => nice === 1), 'what it was given at its start');
      assert.equal(child.affinity.length, 1);
      child.setPriority(3);
      assert.equal(child.priority, 3);
      assert.equal(child.usage().priority, 3);
      await waitUntil(() => all(os.getPriority).every(nice => nice === 3), 'all threads to have it');
      const cpus = native.getAffinity(0);
      child.setAffinity(cpus);
      assert.deepEqual(child.affinity, cpus);
      assert.ok(all(native.getAffinity).every(had => had.length === cpus.length));
      for (const wrong of [[1023], [cpu, 1023]]) {
        assert.throws(() => child.setAffinity(wrong), {
          name: 'RangeError',
          message: /on CPU .*1023 as there/,
        });
        assert.deepEqual(child.affinity, cpus);
      }
      for (const wrong of [[], [-1], [1.5], ['0'], 3, undefined])
        assert.throws(() => child.setAffinity(wrong as never), RangeError);
      for (const wrong of [20, -21, 1.5, '1', undefined])
        assert.throws(() => child.setPriority(wrong as never), RangeError);
    });

    test('that has no such CPU fails, and says which', limit, async () => {
      const child = new Process({ target: forever, affinity: [1023], stdio: 'ignore' }).start();
      await assert.rejects(child.result(), {
        name: 'RangeError',
        message: /Process-\d+ on CPU 1023 as there/,
      });
      await child.join();
    });

    test('tells nothing before its start and after its end', limit, async () => {
      const child = new Process({ target: () => {} });
      const refuses = () => {
        for (const ask of [
          () => child.usage(),
          () => child.priority,
          () => child.affinity,
          () => child.setPriority(1),
          () => child.setAffinity([cpu]),
        ])
          assert.throws(ask, LifecycleError);
      };
      assert.equal(child.state, 'new');
      refuses();
      await child.start().join();
      assert.equal(child.state, 'terminated');
      refuses();
    });
  });
}

test('a priority that is not permitted is refused in clear words', () => {
  const scheduling = path.join(__dirname, 'scheduling.js');
  const program = `
    const { setPriorityOf } = require(${JSON.stringify(scheduling)});
    if (process.getuid() === 0) process.setuid(65534);
    try { setPriorityOf(process.pid, 'Process-1', -5) } catch ({ code, message }) { console.log(code, message) }`;
  const { stdout, stderr } = spawnSync(process.execPath, ['-e', program], { encoding: 'utf8' });
  assert.match(
    stdout,
    /^(EACCES|EPERM) Cannot set the priority of Process-1 to -5 as that is not permitted: /,
    stderr,
  );
});
