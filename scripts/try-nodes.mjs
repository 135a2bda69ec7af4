/**
 * Runs a smoke test of the built package under other Nodes, to see that one build of the addon serves them all: the Node
 * programs given as arguments, else Node 22 and 24 as packed for npm, which are fetched into a temporary folder.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.resolve(import.meta.dirname, '..');
const face = path.join(root, 'dist/index.mjs');

/** Both faces are one library; functions run in other processes and threads, and locks hold between them. */
const smoke = `
  import assert from 'node:assert/strict';
  import { createRequire } from 'node:module';
  import * as manyhands from ${JSON.stringify(pathToFileURL(face).href)};
  const required = createRequire(${JSON.stringify(face)})('./index.js');
  for (const name of Object.keys(required)) assert.equal(manyhands[name], required[name], name);
  const pool = new manyhands.Pool(2);
  const offset = 100;
  assert.deepEqual(await pool.map(x => x * x + offset, [1, 2, 3]), [101, 104, 109]);
  await pool.close();
  await pool.join();
  const { Lock, Process, Thread, Value } = manyhands;
  const lock = new Lock();
  const sum = new Value('i');
  const add = async () => {
    for (let i = 0; i < 100; i++) await lock.runExclusive(() => void sum.value++);
    return lock.acquireSync().release();
  };
  const adders = [Process, Thread].map(Kind => new Kind({ target: add }).start());
  await Promise.all(adders.map(adder => adder.result()));
  assert.equal(sum.value, 200);
  const [one, other] = [new Lock(), new Lock({ name: 'manyhands try ' + process.pid })];
  const nested = new manyhands.RLock();
  await nested.runExclusive(() => nested.runExclusive(() => one.runExclusive(() => other.acquireSync().release())));
  const invert = async (first, second) => {
    const guard = await first.acquire();
    await new Promise(setImmediate);
    try {
      (await second.acquire()).release();
    } finally {
      guard.release();
    }
  };
  const inverted = await Promise.allSettled([invert(one, lock), invert(lock, one)]);
  assert.deepEqual(inverted.map(({ reason }) => reason?.code).sort(), ['ERR_DEADLOCK', undefined]);
  const { Pipe, PriorityQueue, Queue, wait } = manyhands;
  const [queue, named] = [new Queue(10), new PriorityQueue(0, { name: 'manyhands queue ' + process.pid })];
  const [here, there] = Pipe();
  const serve = async end => {
    for await (const [item, answers] of queue) await answers.put(item);
    await end.send(new Uint8Array(1e5).fill(7));
  };
  const servers = [Process, Thread].map(Kind => new Kind({ target: serve, args: [there] }).start());
  there.close();
  const answers = new Queue();
  for (let i = 0; i < 1000; i++) await queue.put([{ i, f: () => i + offset }, answers]);
  queue.shutdown();
  const calls = [];
  while (calls.length < 1000) calls.push(...(await answers.getMany(100)).map(({ i, f }) => f() - i));
  assert.ok(calls.every(n => n === offset));
  let bytes = 0;
  for await (const message of here) bytes += message.length;
  assert.equal(bytes, 2e5);
  await named.putMany(['second', 'third']);
  await named.put('first', { priority: -1 });
  assert.deepEqual(await named.getMany(3), ['first', 'second', 'third']);
  assert.deepEqual(await wait([named, ...servers]), servers);
  console.log(process.version, 'works');
`;

const nodes = process.argv.length > 2 ? process.argv.slice(2) : fetchNodes();
for (const node of nodes) {
  const { status, signal, error } = spawnSync(node, ['--input-type=module', '--eval', smoke], {
    cwd: root,
    stdio: 'inherit',
    timeout: 60_000,
  });
  if (status === 0) continue;
  console.error(`${node} failed: ${error?.message ?? signal ?? `status ${status}`}`);
  process.exitCode = 1;
}

function fetchNodes() {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-nodes-'));
  process.on('exit', () => rmSync(folder, { recursive: true }));
  const packed = `node-linux-${process.arch}`;
  return ['22', '24'].map(version => {
    const prefix = path.join(folder, version);
    execFileSync('npm', ['install', '--no-save', '--prefix', prefix, `${packed}@${version}`], {
      stdio: 'ignore',
    });
    return path.join(prefix, 'node_modules', packed, 'bin/node');
  });
}
