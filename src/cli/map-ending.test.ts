import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { descendants, waitGone, waitUntil } from '../testing/processes.js';
import { fixture, map, startMap } from './fixtures/cli.js';

leavesNothing();
const folder = mkdtempSync(join(tmpdir(), 'map-ending-'));
after(() => rmSync(folder, { recursive: true }));

/** Starts a map whose first task runs until `path.go` exists, and whose stdin stays open. */
async function holding(path: string, ...options: string[]) {
  const started = startMap([fixture('tasks.mjs#holds'), '-j', '2', ...options]);
  started.child.stdin?.write(`${path}\n`);
  await waitUntil(
    () => existsSync(`${path}.begun`),
    () => 'the task to begin',
    20_000,
  );
  const family = descendants(started.child.pid).map(({ pid }) => pid);
  assert.ok(family.length > 0 || options.includes('--threads'));
  return { ...started, pid: started.child.pid as number, family };
}

for (const [name, sign] of [
  ['the command', 1],
  ['the whole group, as a terminal does', -1],
] as const) {
  for (const kind of [[], ['--threads']]) {
    test(`one Ctrl-C to ${name} lets the running task end (${kind[0] ?? 'processes'})`, async () => {
      const path = join(folder, `once${sign}${kind.length}`);
      const { ended, pid, family } = await holding(path, ...kind);
      process.kill(sign * pid, 'SIGINT');
      writeFileSync(`${path}.go`, '');
      const { status, results, stderr } = await ended;
      assert.equal(status, 130, stderr);
      assert.deepEqual(results, [path]);
      for (const member of family) await waitGone(member);
    });
  }

  test(`a second Ctrl-C to ${name} ends everything at once`, async () => {
    const path = join(folder, `twice${sign}`);
    const { ended, pid, family } = await holding(path);
    process.kill(sign * pid, 'SIGINT');
    // Signals of one kind may fall together: again until the command has seen two.
    const again = setInterval(() => process.kill(sign * pid, 'SIGINT'), 50);
    const { status, results } = await ended.finally(() => clearInterval(again));
    assert.equal(status, 130);
    assert.deepEqual(results, []);
    for (const member of family) await waitGone(member);
  });
}

test('SIGTERM ends everything at once', async () => {
  const { ended, child, family } = await holding(join(folder, 'terminated'));
  child.kill('SIGTERM');
  assert.equal((await ended).status, 143);
  for (const member of family) await waitGone(member);
});

test('kill -9 of the command takes its workers with it', async () => {
  const { ended, child, family } = await holding(join(folder, 'killed'));
  child.kill('SIGKILL');
  for (const member of family) await waitGone(member);
  assert.equal((await ended).signal, 'SIGKILL');
});

test('results come at once, while more input is awaited', async () => {
  const { child, ended } = startMap([fixture('tasks.mjs')]);
  child.stdin?.write(Buffer.concat([Buffer.from('first\nsec'), Buffer.of(0xc3)]));
  const [chunk] = await once(child.stdout as NodeJS.ReadableStream, 'data');
  assert.equal(String(chunk), '"FIRST"\n');
  child.stdin?.end(Buffer.of(0xa9)); // the other half of é
  assert.deepEqual((await ended).results, ['FIRST', 'SECÉ']);
});

test('a reader that goes away ends it, quietly', async () => {
  const { child, ended } = startMap([fixture('tasks.mjs#identity')]);
  const feed = (): void => {
    if (!child.stdin?.writable) return;
    child.stdin.write('some line\n'.repeat(5000), feed);
  };
  feed();
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  child.stdout?.destroy();
  const { status, stderr } = await ended;
  child.stdin?.destroy();
  assert.equal(status, 141);
  assert.equal(stderr, '');
});

test('a reader that does not read holds back the input', async () => {
  const { child, ended } = startMap([fixture('tasks.mjs#identity'), '-q']);
  child.stdout?.pause();
  let fed = 0;
  let taken = 0;
  const line = `${'x'.repeat(999)}\n`;
  const feed = (): void => {
    for (; fed < 60_000 && child.stdin?.writable; fed++) {
      if (!child.stdin.write(line)) {
        fed++;
        child.stdin.once('drain', feed);
        return;
      }
    }
    child.stdin?.end();
  };
  feed();
  // It has stopped taking when nothing is taken for as long as taking it all would last.
  for (let still = 0; still < 5; still = fed > 1000 && fed === taken ? still + 1 : 0) {
    taken = fed;
    await new Promise(resolve => setTimeout(resolve, 200));
  }
  assert.ok(fed < 50_000, `${fed} lines taken`);
  child.stdout?.resume();
  const { status, stdout } = await ended;
  assert.equal(status, 0);
  assert.equal(stdout.length, 60_000 * 1002);
});

test('memory stays flat however many lines come', async () => {
  const { child, ended } = startMap([fixture('tasks.mjs#length'), '-q']);
  const rss = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]);
  const block = 'another line of some length, as lines of text have it\n'.repeat(1000);
  const samples: number[] = [];
  for (let i = 0; i < 600; i++) {
    await new Promise(resolve => child.stdin?.write(block, resolve));
    if (i % 100 === 99) samples.push(rss());
  }
  child.stdin?.end();
  const { stdout, status } = await ended;
  assert.equal(status, 0);
  assert.equal(stdout.length, 600_000 * 3);
  const [first = 0, last = 0] = [samples[1], samples.at(-1)];
  assert.ok(last - first < 40_000, `grew from ${first} to ${last} KiB`);
});

test('an output that cannot be written to is told', async () => {
  const { status, stderr } = await map([fixture('tasks.mjs'), '--output', '/dev/full', 'a']);
  assert.equal(status, 1);
  assert.match(stderr, /Cannot write results: ENOSPC/);
});
