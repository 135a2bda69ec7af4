import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { CommanderError } from 'commander';
import { warmUp } from '../pool/fixtures/carriers.js';
import { leavesNothing } from '../testing/leaks.js';
import { fixture, linesOf, map, mapHere } from './fixtures/cli.js';
import { mapCommand } from './map.js';
import { UsageError } from './usage-error.js';

leavesNothing({ warm: warmUp });
const folder = mkdtempSync(join(tmpdir(), 'map-'));
after(() => rmSync(folder, { recursive: true }));

const numbers = (n: number): string[] => Array.from({ length: n }, (_, i) => String(i));
const text = (lines: readonly string[]): string => lines.map(line => `${line}\n`).join('');

test('arguments are inputs, and the default export is called', async () => {
  const { status, results, stderr } = await map([fixture('tasks.mjs'), 'a', 'b', '']);
  assert.deepEqual(results, ['A', 'B', ''], stderr);
  assert.equal(status, 0);
});

test('results come in the order of inputs, however long each takes', async () => {
  const waits = ['120', '1', '60', '0', '30', '2'];
  const { status, results } = await mapHere([fixture('tasks.mjs#waits'), '-j', '3', ...waits]);
  assert.deepEqual(results, waits);
  assert.equal(status, 0);
});

test('--unordered results come as they are ready', async () => {
  const { results } = await mapHere([fixture('tasks.mjs#waits'), '-j', '2', '--unordered', '1500', '1', '2']);
  assert.deepEqual(results, ['1', '2', '1500']);
});

test('20,000 lines keep their order through chunks of all sizes', async () => {
  const lines = numbers(20_000);
  const { status, results, stderr } = await map([fixture('tasks.mjs#identity')], text(lines));
  assert.deepEqual(results, lines, stderr);
  assert.equal(status, 0);
  for (const options of [['--chunksize', '7'], ['--threads']]) {
    const { status, results } = await mapHere([fixture('tasks.mjs#identity'), ...options], text(lines));
    assert.deepEqual(results, lines);
    assert.equal(status, 0);
  }
});

test('lines end with newline alone; empty ones, and a last one without newline, are inputs', async () => {
  const { results } = await mapHere([fixture('tasks.mjs#identity')], 'a\r\n\n\u2028b\n\u00e9');
  assert.deepEqual(results, ['a\r', '', '\u2028b', '\u00e9']);
});

test('no input is no result', async () => {
  const { status, stdout } = await map([fixture('tasks.mjs')], '');
  assert.equal(stdout, '');
  assert.equal(status, 0);
});

test('a line longer than any buffer is one input', async () => {
  const { results } = await mapHere([fixture('tasks.mjs#length')], `${'é'.repeat(3_000_000)}\nx`);
  assert.deepEqual(results, [3_000_000, 1]);
});

test('-0 takes inputs with anything in them', async () => {
  const { results } = await mapHere([fixture('tasks.mjs#identity'), '-0'], 'a\nb\0c d\0');
  assert.deepEqual(results, ['a\nb', 'c d']);
});

test('--json parses inputs; one that is no JSON fails alone', async () => {
  const { status, results, failures } = await mapHere(
    [fixture('tasks.mjs#identity'), '--json'],
    '{"a":[1]}\r\n{oops\n"x"\n',
  );
  assert.deepEqual(results, [{ a: [1] }, 'x']);
  assert.deepEqual(
    failures.map(({ input, name }) => [input, name]),
    [['{oops', 'SyntaxError']],
  );
  assert.equal(status, 1);
  assert.deepEqual((await mapHere([fixture('tasks.mjs#double'), '--json', '1', '2.5'])).results, [2, 5]);
});

test('--input and --output name files; --raw writes strings as they are', async () => {
  const input = join(folder, 'in.txt');
  const output = join(folder, 'out.txt');
  writeFileSync(input, text(['x', 'y "z"']));
  writeFileSync(output, 'what was there before, and longer than what comes');
  const { status, stdout } = await map([fixture('tasks.mjs'), '--input', input, '--output', output, '--raw']);
  assert.equal(status, 0);
  assert.equal(stdout, '');
  assert.equal(readFileSync(output, 'utf8'), 'X\nY "Z"\n');
  assert.equal((await mapHere([fixture('tasks.mjs#length'), '--raw', 'abc'])).output, '3\n');
});

test('undefined is printed as null', async () => {
  assert.equal((await mapHere([fixture('tasks.mjs#nothing'), 'a'])).output, 'null\n');
});

test('a result that JSON cannot say is a failure of its input', async () => {
  for (const name of ['big', 'cycle']) {
    const { status, output, failures } = await mapHere([fixture(`tasks.mjs#${name}`), '1']);
    assert.equal(output, '');
    assert.deepEqual(
      failures.map(failure => [failure.input, failure.name]),
      [['1', 'TypeError']],
    );
    assert.equal(status, 1);
  }
});

test('a failure is a line of JSON with input, name, message and stack; the others go on', async () => {
  const errors = join(folder, 'errors.jsonl');
  const { status, results, stderr } = await map([
    fixture('tasks.mjs#failsAt3'),
    '--errors',
    errors,
    '-q',
    '1',
    '13',
    '2',
  ]);
  assert.equal(status, 1);
  assert.deepEqual(results, ['1', '2']);
  assert.equal(stderr, '');
  const [line = '', ...more] = linesOf(readFileSync(errors, 'utf8'));
  assert.deepEqual(more, []);
  const { input, name, message, stack } = JSON.parse(line);
  assert.deepEqual({ input, name, message }, { input: '13', name: 'RangeError', message: 'no 13' });
  assert.match(stack, /^RangeError: no 13\n {4}at failsAt3 .*tasks\.mjs:\d+:\d+\)/);
  assert.match(stack, /caused by: Error: the cause/);
});

test('what is thrown need not be an error', async () => {
  const { failures } = await mapHere([fixture('tasks.mjs#throwsText'), 'a']);
  assert.deepEqual(failures, [{ input: 'a', name: 'Thrown', message: 'just a', stack: null }]);
});

test('--fail-fast ends with the first failure', async () => {
  const { status, results, failures } = await mapHere(
    [fixture('tasks.mjs#failsAt3'), '--fail-fast', '-j', '1'],
    text(numbers(100_000)),
  );
  assert.equal(status, 1);
  assert.deepEqual(results, ['0', '1', '2']);
  assert.deepEqual(
    failures.map(({ input }) => input),
    ['3'],
  );
});

test('what the function prints does not get among the results', async () => {
  for (const options of [[], ['--threads']]) {
    const { stdout, stderr } = await map([fixture('tasks.mjs#prints'), '-j', '1', ...options, 'a']);
    assert.equal(stdout, '"a"\n');
    assert.match(stderr, /^printed a$/m);
  }
});

test('a worker that dies fails its input and no other', async () => {
  const lines = numbers(3000);
  lines[2000] = 'die';
  const { status, results, failures } = await mapHere([fixture('tasks.mjs#dies')], text(lines));
  assert.equal(status, 1);
  assert.deepEqual(results, lines.toSpliced(2000, 1));
  assert.deepEqual(
    failures.map(({ input, name }) => [input, name]),
    [['die', 'WorkerDiedError']],
  );
});

test('--retries runs an input again when its worker died', async () => {
  const path = join(folder, 'died');
  const { status, results } = await mapHere([fixture('tasks.mjs#diesOnce'), '--retries', '1', path]);
  assert.deepEqual(results, [path]);
  assert.equal(status, 0);
});

test('--timeout is for one input', async () => {
  for (const options of [[], ['--threads']]) {
    const args = [fixture('tasks.mjs#works'), '--timeout', '400', '-j', '2', ...options];
    const { status, results, failures } = await mapHere([...args, '1', '100000', '2', '3']);
    assert.deepEqual(results, ['1', '2', '3']);
    assert.deepEqual(
      failures.map(({ input, name }) => [input, name]),
      [['100000', 'TimeoutError']],
    );
    assert.equal(status, 1);
  }
});

test('-j sets the number of workers, --threads has them in this process', async () => {
  const inputs = numbers(40);
  const args = ['--chunksize', '1', ...inputs];
  const { results: processes } = await mapHere([fixture('tasks.mjs#pid'), '-j', '1', ...args]);
  assert.equal(new Set(processes).size, 1);
  const { results: threads } = await mapHere([fixture('tasks.mjs#pid'), '-j', '2', '--threads', ...args]);
  assert.equal(new Set(threads).size, 1);
});

test('--max-memory takes sizes with suffixes and replaces workers that pass them', async () => {
  const args = [fixture('tasks.mjs#pid'), '-j', '1', '--chunksize', '1', ...numbers(6)];
  const { results: same } = await mapHere(['--max-memory', '8G', ...args]);
  assert.equal(new Set(same).size, 1);
  const { results: others } = await mapHere(['--max-memory', '100K', ...args]);
  assert.ok(new Set(others).size > 1);
});

test('functions in TypeScript are run as they are', { timeout: 60_000 }, async () => {
  for (const options of [
    ['-j', '1'],
    ['-j', '1', '--threads'],
  ]) {
    const { results, stderr } = await map([fixture('typed.mts'), '--json', ...options, '{"x":3,"y":4}']);
    assert.deepEqual(results, [5], stderr);
  }
  assert.deepEqual((await mapHere([fixture('typed.mts#shout'), '-j', '1', 'a'])).results, ['A!']);
});

test('CommonJS compiled from ES modules has the exports of its source', async () => {
  assert.deepEqual((await mapHere([fixture('compiled.cjs'), 'a'])).results, ['default of a']);
  assert.deepEqual((await mapHere([fixture('compiled.cjs#other'), 'a'])).results, ['other of a']);
});

test('wrong usage ends with 2 and says what to do', async () => {
  const tasks = fixture('tasks.mjs');
  const cases: [args: string[], message: RegExp][] = [
    [[], /missing required argument/],
    [[tasks, '--bogus'], /unknown option '--bogus'/],
    [['nowhere.mjs', 'a'], /Cannot find nowhere\.mjs/],
    [[folder, 'a'], /is no file/],
    [
      [`${tasks}#nope`, 'a'],
      /it has no export "nope"; it exports the functions .*identity.*, as in .*tasks\.mjs#big/,
    ],
    [[`${tasks}#value`, 'a'], /its export "value" is no function/],
    [[`${tasks}#`, 'a'], /Cannot tell which export/],
    [[fixture('broken.mjs'), 'a'], /Cannot load .*this module cannot be loaded[\s\S]*broken\.mjs:1/],
    [[tasks, '-j', 'many', 'a'], /argument 'many' is invalid. Give a whole number, 1 or more/],
    [[tasks, '-j', '0', 'a'], /argument '0' is invalid/],
    [[tasks, '--timeout', '-1', 'a'], /Give milliseconds/],
    [[tasks, '--max-memory', '5X', 'a'], /Give bytes/],
    [[tasks, '--input', join(folder, 'no-such-file')], /Cannot read inputs from .*ENOENT/],
    [[tasks, '--input', folder], /it is a directory/],
    [[tasks, '--input', tasks, 'a'], /both from arguments and from --input/],
    [[tasks, '--output', join(folder, 'no/such/folder'), 'a'], /Cannot write .*ENOENT/],
    [
      [tasks, '--output', join(folder, 'x'), '--errors', join(folder, 'x'), 'a'],
      /for both --output and --errors/,
    ],
    [[tasks, '--timeout', '5', '--chunksize', '2', 'a'], /Cannot keep --timeout/],
    [[tasks, '--resume', join(folder, 'journal'), 'a'], /give --output FILE/],
  ];
  // One of which the parser tells, and one of which the command does.
  for (const [args, message] of cases.slice(1, 3)) {
    const { status, stderr, stdout } = await map(args);
    assert.match(stderr, message);
    assert.equal(status, 2, stderr);
    assert.equal(stdout, '');
  }
  for (const [args, message] of cases) {
    const silent = mapCommand(() => assert.fail('it has run'))
      .exitOverride()
      .configureOutput({ writeErr: () => undefined });
    await assert.rejects(silent.parseAsync(args, { from: 'user' }), (error: Error) => {
      assert.ok(error instanceof UsageError || error instanceof CommanderError, error.stack);
      assert.match(error.message, message);
      return true;
    });
  }
});

test('an input file that is also the output is refused before it is lost', async () => {
  const path = join(folder, 'precious');
  writeFileSync(path, 'precious\n');
  const run = mapHere([fixture('tasks.mjs'), '--input', path, '--output', path]);
  await assert.rejects(run, { name: 'UsageError' });
  assert.equal(readFileSync(path, 'utf8'), 'precious\n');
});

test('--progress tells plain lines, and the summary speaks of time and speed-up; --quiet of nothing', async () => {
  const inputs = ['1100', '1', '2', '3'];
  const { stderr } = await map([fixture('tasks.mjs#waits'), '--progress', '-j', '2', ...inputs]);
  const lines = linesOf(stderr);
  assert.match(lines[0] ?? '', /^manyhands: \d done, 0 failed, [\d.]+\/s, \d+ %/);
  assert.match(
    lines.at(-2) ?? '',
    /^manyhands: 4 done, 0 failed in \d+\.\d\d s \([\d.]+\/s, the first after .*\)$/,
  );
  assert.match(lines.at(-1) ?? '', /^manyhands: 2 processes worked .* of CPU time: \d\.\d\d times one core$/);
  assert.equal((await map([fixture('tasks.mjs#waits'), '--quiet', '1'])).stderr, '');
});
