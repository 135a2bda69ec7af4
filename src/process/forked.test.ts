import assert from 'node:assert/strict';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { carriers, warm } from './fixtures/methods.js';
import type { Process as AnyProcess } from './process.js';

leavesNothing({ warm });

const limit = { timeout: 60_000 };
const Process = carriers.get('forkserver') as typeof AnyProcess;

/** What `target` returns in a forked child, which must then end in order. */
async function inChild<R>(target: () => R | PromiseLike<R>): Promise<R> {
  const child = new Process<[], R>({ target }).start();
  const result = await child.result();
  await child.join();
  assert.deepEqual([child.exitCode, child.signalCode], [0, null]);
  return result;
}

test('a forked child reads and writes files asynchronously', limit, async () => {
  const read = () =>
    (require('node:fs') as typeof import('node:fs')).promises.readFile('/proc/self/comm', 'utf8');
  assert.match(await inChild(read), /\S/);
});

test('a forked child serves and connects', limit, async () => {
  const echo = async () => {
    const net = require('node:net') as typeof import('node:net');
    const server = net.createServer(socket => socket.pipe(socket)).listen(0, '127.0.0.1');
    await new Promise(resolve => server.once('listening', resolve));
    const client = net.connect((server.address() as import('node:net').AddressInfo).port, '127.0.0.1');
    client.end('echo');
    let text = '';
    for await (const chunk of client) text += chunk;
    server.close();
    return text;
  };
  assert.equal(await inChild(echo), 'echo');
});

test('a forked child imports modules', limit, async () => {
  assert.equal(await inChild(async () => typeof (await import('node:zlib')).gzipSync), 'function');
});

test('a forked child starts a Worker', limit, async () => {
  const work = () => {
    const { Worker } = require('node:worker_threads') as typeof import('node:worker_threads');
    const worker = new Worker('require("node:worker_threads").parentPort.postMessage(6 * 7)', { eval: true });
    return new Promise(resolve => worker.once('message', resolve));
  };
  assert.equal(await inChild(work), 42);
});

test('a forked child runs commands', limit, async () => {
  const commands = async () => {
    const { exec, execSync } = require('node:child_process') as typeof import('node:child_process');
    const later = await new Promise(resolve => exec('echo async', (_, out) => resolve(out)));
    return [later, String(execSync('echo sync'))];
  };
  assert.deepEqual(await inChild(commands), ['async\n', 'sync\n']);
});

test('optimised code in a forked child is about as fast as here', limit, async () => {
  const loop = () => {
    const began = process.cpuUsage().user;
    let sum = 0;
    for (let i = 0; i < 3e8; i++) sum = (sum + i * 3) | 0;
    return [process.cpuUsage().user - began, sum];
  };
  const [here] = loop();
  const [there] = await inChild(loop);
  assert.ok(there < 3 * here + 50_000, `${there} µs of CPU time there, ${here} here`);
});

test('300 children draw 300 different values from each source', limit, async () => {
  const draw = () => {
    const crypto = require('node:crypto') as typeof import('node:crypto');
    return [Math.random(), crypto.randomUUID(), crypto.randomInt(2 ** 47)];
  };
  const drawn: unknown[][] = [];
  for (let i = 0; i < 300; i += 4) drawn.push(...(await Promise.all([0, 1, 2, 3].map(() => inChild(draw)))));
  for (const source of [0, 1, 2]) assert.equal(new Set(drawn.map(values => values[source])).size, 300);
});
