import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { boundPools } from '../pool/context.js';
import { boundProcesses } from '../process/bound.js';
import { getAllStartMethods, type StartMethod } from '../process/start-method.js';
import { forked } from '../testing/carriers.js';
import { leavesNothing } from '../testing/leaks.js';
import { ended, LIMIT } from '../testing/sharing.js';
import { getContext } from './context.js';
import { SyncManager } from './sync-manager.js';

leavesNothing({ warm: () => ended(forked.start(() => {})) });

test('each start method has one context, with all that there is', () => {
  for (const method of getAllStartMethods()) {
    const context = getContext(method);
    assert.equal(context, getContext(method));
    assert.equal(context.method, method);
    assert.equal(context.Process, boundProcesses[method]);
    assert.equal(context.Pool, boundPools[method]);
  }
  assert.throws(() => getContext('exec' as StartMethod), {
    name: 'RangeError',
    message: /forkserver, spawn/,
  });
});

test("a context's servers start by its method", LIMIT, async () => {
  const born = (pid: number) => {
    const parent = /^PPid:\s*(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return readFileSync(`/proc/${parent}/comm`, 'utf8') === 'mh-forkserver\n' ? 'forkserver' : 'spawn';
  };
  for (const method of ['spawn', 'forkserver'] as const) {
    const context = getContext(method);
    await using manager = await context.Manager();
    assert.ok(manager instanceof SyncManager);
    assert.equal(manager.constructor.name, 'SyncManager');
    const pid = await manager.pool(1).then(pool => pool.run(() => process.ppid));
    assert.equal(born(pid), method);
  }
});

test('a context crosses to children with its Manager', LIMIT, async () => {
  const context = getContext('forkserver');
  const child = forked.start(async (given: typeof context) => {
    await using own = await given.Manager();
    const dict = await own.dict({ a: 1 });
    return [given.method, await dict.get('a')];
  }, context);
  assert.deepEqual(await ended(child), [['forkserver', 1]]);
});

test('a server by fork is its starter once more', LIMIT, async () => {
  const source = `
    const { getContext, BaseManager } = require(${JSON.stringify(path.join(__dirname, '..', 'index.js'))});
    (async () => {
      const manager = await getContext('fork').Manager();
      const dict = await manager.dict({ a: 1 });
      console.log(JSON.stringify([await dict.add('a', 4)]));
      await manager.shutdown();
    })();`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--single-threaded', '-e', source]);
  assert.deepEqual(JSON.parse(stdout), [5]);
});
