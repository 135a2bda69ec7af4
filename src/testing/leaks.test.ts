import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { leavesNothing } from './leaks.js';
import {
  alive,
  children,
  descendants,
  inspectProcess,
  marked,
  state,
  waitGone,
  waitUntil,
} from './processes.js';

leavesNothing();

const folder = mkdtempSync(path.join(tmpdir(), 'files-'));
after(() => rmSync(folder, { recursive: true }));

/** Runs a test file made of `body`, whose tests leave things behind or do not. */
function runFile(name: string, body: string, more = ''): { status: number | null; output: string } {
  const file = path.join(folder, `${name}.test.cjs`);
  writeFileSync(
    file,
    `const { test, after } = require('node:test');
     const { leavesNothing } = require(${JSON.stringify(path.join(__dirname, 'leaks.js'))});
     const { spawn } = require('node:child_process');
     let kept;
     leavesNothing({ timeout: 300, ${more} });
     ${body}`,
  );
  const { NODE_TEST_CONTEXT: _, ...env } = process.env; // or it would take itself for a part of this run
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', file], {
    encoding: 'utf8',
    env,
  });
  return { status, output: stdout + stderr };
}

function fails(name: string, body: string, expected: RegExp): void {
  const { status, output } = runFile(name, body);
  assert.notEqual(status, 0, output);
  assert.match(output, /This file leaves behind:/);
  assert.match(output, expected);
}

test('a file that cleans up passes', () => {
  const { status, output } = runFile(
    'clean',
    `const fs = require('node:fs'), os = require('node:os'), path = require('node:path');
     test('busy', async () => {
       const child = spawn('sleep', ['100']);
       const worker = new (require('node:worker_threads').Worker)('setInterval(() => {}, 100)', { eval: true });
       const file = path.join(os.tmpdir(), 'mine');
       fs.writeFileSync(file, '');
       await require('node:events').once(worker, 'online');
       await worker.terminate();
       child.kill();
       after(() => fs.unlinkSync(file));
     });
     test('slow to end', () => { setTimeout(() => {}, 100); });`,
  );
  assert.equal(status, 0, output);
});

test('what a hook of the file cleans up is not held against it', () => {
  const { status, output } = runFile(
    'hook',
    `const child = spawn('sleep', ['100']);
     after(async () => { child.kill(); await require('node:events').once(child, 'exit'); });
     test('nothing', () => {});`,
  );
  assert.equal(status, 0, output);
});

test('a child process is named and killed', () => {
  const { output, status } = runFile(
    'child',
    `test('x', () => { console.log('pid', spawn('sleep', ['99.1']).pid); });`,
  );
  assert.notEqual(status, 0);
  assert.match(output, /process \d+ \(S\): sleep 99\.1/);
  const pid = Number(/pid (\d+)/.exec(output)?.[1]);
  assert.equal(inspectProcess(pid), null);
});

test('an orphan is found by its mark', () => {
  fails(
    'orphan',
    `test('x', async () => {
       const shell = spawn('sh', ['-c', 'setsid sleep 99.2 > /dev/null 2>&1 < /dev/null & exit']);
       await require('node:events').once(shell, 'close');
     });`,
    /process \d+ \(S\): sleep 99\.2/,
  );
});

test('a thread is found', () => {
  fails(
    'thread',
    `test('x', async () => {
       const worker = new (require('node:worker_threads').Worker)('setInterval(() => {}, 100)', { eval: true });
       await require('node:events').once(worker, 'online');
       worker.unref();
     });`,
    /thread \d+: /,
  );
});

test('a timer is found', () => {
  fails('timer', `test('x', () => { setTimeout(() => {}, 1000); });`, /resource on the event loop: Timeout/);
});

test('a descriptor is found', () => {
  fails(
    'descriptor',
    `test('x', () => { require('node:fs').openSync('/etc/hostname'); });`,
    /descriptor \d+: \/etc\/hostname/,
  );
});

test('a temporary file is found, and removed with its folder', () => {
  const { output, status } = runFile(
    'file',
    `test('x', () => {
       require('node:fs').writeFileSync(require('node:os').tmpdir() + '/forgotten', '');
     });`,
  );
  assert.notEqual(status, 0);
  const name = /temporary file (\S+\/forgotten)/.exec(output)?.[1];
  assert.ok(name, output);
  assert.equal(existsSync(path.dirname(name)), false);
});

test('a name in /dev/shm is found', () => {
  const name = `manyhands-leak-${process.pid}`;
  try {
    fails(
      'shm',
      `test('x', () => { require('node:fs').writeFileSync('/dev/shm/${name}', ''); });`,
      new RegExp(`file /dev/shm/${name}`),
    );
  } finally {
    rmSync(`/dev/shm/${name}`);
  }
});

test('what warm() starts belongs to the file from its start', () => {
  const { status, output } = runFile(
    'warm',
    `process.on('exit', () => kept.kill());
     test('x', () => {});`,
    `warm() { kept = spawn('sleep', ['100'], { stdio: 'ignore' }); kept.unref(); }`,
  );
  assert.equal(status, 0, output);
});

test('processes are told by state, parent and mark', async () => {
  const child = spawn('sleep', ['98.3'], { env: { ...process.env, MANYHANDS_TEST_COLOUR: 'green-1' } });
  await once(child, 'spawn');
  const pid = child.pid as number;
  await waitUntil(() => inspectProcess(pid)?.command === 'sleep 98.3', 'exec');
  assert.equal(alive(pid), true);
  assert.deepEqual(
    children().map(info => info.pid),
    [pid],
  );
  assert.deepEqual(
    descendants().map(info => info.pid),
    [pid],
  );
  assert.deepEqual(
    marked('MANYHANDS_TEST_COLOUR', 'green').map(info => info.pid),
    [pid],
  );
  assert.deepEqual(marked('MANYHANDS_TEST_COLOUR', 'blue'), []);
  child.kill('SIGSTOP');
  await waitUntil(() => state(pid) === 'T', 'SIGSTOP');
  await assert.rejects(waitGone(pid, 20), /Waited 20 ms in vain for process \d+ \(T\) to end/);
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await waitGone(pid);
  assert.equal(alive(pid), false);
  await exited;
});

test('the folder for temporary files is the file’s own', () => {
  assert.match(tmpdir(), /manyhands-test-\w+$/);
  assert.deepEqual(readdirSync(tmpdir()), [path.basename(folder)]);
});
