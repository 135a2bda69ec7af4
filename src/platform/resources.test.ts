import assert from 'node:assert/strict';
import { availableParallelism, totalmem } from 'node:os';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { cpuCount, type Machine, memoryAvailable, memoryLimit } from './resources.js';

leavesNothing();

const GiB = 2 ** 30;

function machine(files: Record<string, string>): Machine {
  return {
    readFile(path) {
      const text = files[path];
      if (text === undefined) throw new Error(`ENOENT: ${path}`);
      return text;
    },
    parallelism: () => 8,
    totalMemory: () => 16 * GiB,
  };
}

test('without cgroups, the machine itself is the limit', () => {
  assert.equal(cpuCount(machine({})), 8);
  assert.equal(memoryLimit(machine({})), 16 * GiB);
  assert.equal(memoryAvailable(machine({})), 16 * GiB);
});

test('cpuCount() rounds a quota up and is never 0', () => {
  const withQuota = (max: string) =>
    cpuCount(machine({ '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': max }));
  assert.equal(withQuota('150000 100000\n'), 2);
  assert.equal(withQuota('400000 100000\n'), 4);
  assert.equal(withQuota('5000 100000\n'), 1);
  assert.equal(withQuota('max 100000\n'), 8);
  assert.equal(withQuota('6400000 100000\n'), 8);
});

test('the least limit on the way to the root cgroup counts', () => {
  const nested = machine({
    '/proc/self/cgroup': '0::/outer/inner\n',
    '/sys/fs/cgroup/outer/inner/cpu.max': 'max 100000\n',
    '/sys/fs/cgroup/outer/cpu.max': '300000 100000\n',
    '/sys/fs/cgroup/outer/inner/memory.max': `${4 * GiB}\n`,
    '/sys/fs/cgroup/outer/memory.max': 'max\n',
  });
  assert.equal(cpuCount(nested), 3);
  assert.equal(memoryLimit(nested), 4 * GiB);
});

test("a container's own cgroup is at the mount's root even if its path is the host's", () => {
  const container = machine({
    '/proc/self/cgroup': '0::/system.slice/docker-0123.scope\n',
    '/sys/fs/cgroup/cpu.max': '200000 100000\n',
    '/sys/fs/cgroup/memory.max': `${GiB}\n`,
  });
  assert.equal(cpuCount(container), 2);
  assert.equal(memoryLimit(container), GiB);
});

test('cgroups of version 1 are understood', () => {
  const old = (quota: string) =>
    machine({
      '/proc/self/cgroup': '5:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/box\n',
      '/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us': quota,
      '/sys/fs/cgroup/cpu/box/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/box/memory.limit_in_bytes': `${2 * GiB}\n`,
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
    });
  assert.equal(cpuCount(old('250000\n')), 3);
  assert.equal(cpuCount(old('-1\n')), 8);
  assert.equal(memoryLimit(old('-1\n')), 2 * GiB);
});

test('memoryAvailable() counts cached files as free and heeds what the cgroup has left', () => {
  const files = {
    '/proc/self/cgroup': '0::/box\n',
    '/proc/meminfo': `MemTotal: 16777216 kB\nMemAvailable:   ${(8 * GiB) / 1024} kB\n`,
  };
  assert.equal(memoryAvailable(machine(files)), 8 * GiB);
  const box = {
    ...files,
    '/sys/fs/cgroup/box/memory.max': `${4 * GiB}\n`,
    '/sys/fs/cgroup/box/memory.current': `${3 * GiB}\n`,
    '/sys/fs/cgroup/box/memory.stat': `anon 1\ninactive_file ${GiB / 2}\nactive_file 7\n`,
  };
  assert.equal(memoryAvailable(machine(box)), 1.5 * GiB);
  assert.equal(memoryAvailable(machine({ ...box, '/sys/fs/cgroup/box/memory.max': `${2 * GiB}\n` })), 0);
});

test('the real machine is within its own bounds', () => {
  assert.ok(cpuCount() >= 1 && cpuCount() <= availableParallelism());
  assert.ok(memoryLimit() > 0 && memoryLimit() <= totalmem());
  assert.ok(memoryAvailable() > 0 && memoryAvailable() <= totalmem());
});
