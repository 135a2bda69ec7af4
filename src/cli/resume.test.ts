import assert from 'node:assert/strict';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { leavesNothing } from '../testing/leaks.js';
import { descendants, waitGone } from '../testing/processes.js';
import { fixture, linesOf, map, startMap } from './fixtures/cli.js';

/* MANYHANDS_KILLS: how often a run is killed before it is left to end. */

leavesNothing();
const KILLS = Number(process.env.MANYHANDS_KILLS ?? 2);
const folder = mkdtempSync(join(tmpdir(), 'resume-'));
after(() => rmSync(folder, { recursive: true }));

/** Names of a run's files, and how to run it. */
function job(name: string, ...options: string[]) {
  const file = (ending: string): string => join(folder, `${name}.${ending}`);
  const [input, output, errors, journal, fixed] = ['in', 'out', 'err', 'journal', 'fixed'].map(file) as [
    string,
    string,
    string,
    string,
    string,
  ];
  const args = [
    fixture('tasks.mjs#failsUntil'),
    ...['--input', input, '--output', output, '--errors', errors, '--resume', journal, '--raw', '-j', '2'],
    ...options,
  ];
  const inputs = (n: number): string => Array.from({ length: n }, (_, i) => `${i} ${fixed}\n`).join('');
  return { input, output, errors, journal, fixed, args, inputs };
}

const expected = (n: number, failing: boolean): string[] =>
  Array.from({ length: n }, (_, i) => i)
    .filter(i => !failing || i % 50 !== 0)
    .map(i => `result ${i}`);
const number = (line: string): number => Number(line.split(' ')[1]);
const read = (path: string): string[] => linesOf(readFileSync(path, 'utf8'));
/** What suffices where it does not matter who works: it starts in half the time. */
const one = ['--threads', '-j', '1'];

for (const options of [[], ['--unordered'], ['--threads']]) {
  test(`after kill -9 at any moment each result is there once (${options[0] ?? 'ordered'})`, async () => {
    const n = 1000;
    const { input, output, errors, journal, fixed, args, inputs } = job(`kill${options[0]}`, ...options);
    const inTurn = (lines: string[]): string[] =>
      options[0] === '--unordered' ? lines.sort((a, b) => number(a) - number(b)) : lines;
    writeFileSync(input, inputs(n));
    const sizes = (): string =>
      [journal, output].map(file => statSync(file, { throwIfNoEntry: false })?.size).join();

    /** Killed so often, most times once it writes, then left to end. */
    const untilDone = async (kills: number): Promise<number | null> => {
      for (let kill = 0; kill < kills; kill++) {
        const before = sizes();
        const { child, ended } = startMap([...args, '--chunksize', '5']);
        const isEarly = Math.random() < 0.2;
        while (!isEarly && child.exitCode === null && sizes() === before) await sleep(1);
        await sleep(Math.random() * (isEarly ? 600 : 60));
        const members = descendants(child.pid).map(({ pid }) => pid);
        // Either all at once, or the workers first.
        for (const pid of kill % 2 ? members : []) {
          try {
            process.kill(pid, 'SIGKILL');
          } catch {
            // It has ended.
          }
        }
        if (child.exitCode === null && child.pid) process.kill(-child.pid, 'SIGKILL');
        for (const pid of members) await waitGone(pid);
        const { status, stderr } = await ended;
        assert.ok(status === null || status <= 1, stderr);
      }
      const { status, stderr } = await map(args);
      assert.ok(status !== null && status <= 1, stderr);
      return status;
    };

    assert.equal(await untilDone(KILLS), 1);
    assert.deepEqual(inTurn(read(output)), expected(n, true));
    assert.deepEqual(new Set(read(errors).map(line => JSON.parse(line).message)).size, n / 50);

    writeFileSync(fixed, '');
    assert.equal(await untilDone(Math.ceil(KILLS / 2)), 0);
    assert.deepEqual(inTurn(read(output)), expected(n, false));
    assert.deepEqual(read(errors), []);
    assert.ok(!existsSync(`${output}.merging`));
  });
}

test('a run that is complete does nothing when resumed, and goes on where inputs were added', async () => {
  const { input, output, fixed, args, inputs } = job('complete', ...one);
  writeFileSync(fixed, '');
  writeFileSync(input, inputs(100));
  assert.equal((await map(args)).status, 0);
  const again = await map(args);
  assert.match(again.stderr, /^manyhands: 0 done, 0 failed, 100 done before/);
  writeFileSync(input, inputs(150));
  assert.match((await map(args)).stderr, /^manyhands: 50 done, 0 failed, 100 done before/);
  assert.deepEqual(read(output), expected(150, false));
});

test('late results take their places, and the run can still go on', async () => {
  const { input, output, fixed, args, inputs } = job('late', ...one);
  writeFileSync(input, inputs(201));
  assert.equal((await map(args)).status, 1);
  writeFileSync(fixed, '');
  assert.equal((await map(args)).status, 0);
  assert.deepEqual(read(output), expected(201, false));
  rmSync(fixed);
  writeFileSync(input, inputs(300));
  assert.equal((await map(args)).status, 1);
  writeFileSync(fixed, '');
  assert.equal((await map(args)).status, 0);
  assert.deepEqual(read(output), expected(300, false));
});

test('Ctrl-C and a resumed run make one whole', async () => {
  const { input, output, fixed, args, inputs } = job('interrupted', ...one);
  writeFileSync(fixed, '');
  writeFileSync(input, inputs(2000));
  const { child, ended } = startMap(args);
  while (!existsSync(output) || statSync(output).size === 0) await sleep(5);
  child.kill('SIGINT');
  assert.equal((await ended).status, 130);
  assert.ok(read(output).length < 2000);
  assert.equal((await map(args)).status, 0);
  assert.deepEqual(read(output), expected(2000, false));
});

test('two runs cannot share a journal', async () => {
  const { input, output, fixed, args, inputs } = job('shared', ...one);
  writeFileSync(fixed, '');
  writeFileSync(input, inputs(100_000)); // more than it can do while the second one starts
  const { child, ended } = startMap(args);
  while (!existsSync(output) || statSync(output).size === 0) await sleep(5);
  const second = await map(args);
  child.kill('SIGINT');
  assert.equal(second.status, 2);
  assert.ok(second.stderr.includes(`process ${child.pid} is still running with it`), second.stderr);
  assert.equal((await ended).status, 130);
});

test('a torn record, and output that nobody vouches for, are cut off', async () => {
  const { input, output, journal, fixed, args, inputs } = job('torn', ...one);
  writeFileSync(fixed, '');
  writeFileSync(input, inputs(200));
  assert.equal((await map(args)).status, 0);
  appendFileSync(output, 'half a resul');
  appendFileSync(journal, '0123456789abcdef01234567 {"ranges":[[0,');
  const whole = readFileSync(output, 'utf8').slice(0, -'half a resul'.length);
  const { status, stderr } = await map(args);
  assert.equal(status, 0);
  assert.match(stderr, /200 done before/);
  assert.equal(readFileSync(output, 'utf8'), whole);
});

test('output that was lost is made again, with a warning', async () => {
  const { input, output, journal, fixed, args, inputs } = job('lost', ...one);
  writeFileSync(fixed, '');
  writeFileSync(input, inputs(500));
  assert.equal((await map([...args, '--chunksize', '1'])).status, 0);
  truncateSync(output, Math.floor(statSync(output).size / 2));
  const { status, stderr } = await map(args);
  assert.equal(status, 0);
  assert.ok(stderr.includes(`${output} does not hold all that ${journal} has done`), stderr);
  assert.deepEqual(read(output), expected(500, false));
});

test('another function, other options, other inputs or another file are refused, and nothing is touched', async () => {
  const { input, output, journal, fixed, args, inputs } = job('refused', ...one);
  writeFileSync(fixed, '');
  writeFileSync(input, inputs(100));
  assert.equal((await map(args)).status, 0);
  const standing = (): string[] => [
    readFileSync(output, 'utf8'),
    ...read(journal).filter(line => !line.includes('"opened"')),
  ];
  const before = standing();
  const refused = async (changed: string[], message: RegExp): Promise<void> => {
    const { status, stderr } = await map(changed);
    assert.match(stderr, message);
    assert.equal(status, 2);
    assert.deepEqual(standing(), before);
  };
  await refused(
    [fixture('tasks.mjs#identity'), ...args.slice(1)],
    /it is that of .*#failsUntil, not of .*#identity/,
  );
  await refused([...args, '--unordered'], /--unordered was given only to one of the two runs/);
  writeFileSync(input, inputs(99));
  await refused(args, /the inputs end after \d+, before input 100/);
  writeFileSync(input, inputs(100).replace('42 ', '43 '));
  await refused(args, /inputs \d+ to \d+ are not those that the journal has done/);
  const precious = join(folder, 'precious');
  writeFileSync(precious, 'no journal\n');
  const elsewhere = args.with(args.indexOf(journal), precious);
  await refused(elsewhere, /it is no journal/);
  assert.equal(readFileSync(precious, 'utf8'), 'no journal\n');
});
