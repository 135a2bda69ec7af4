import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, test } from 'node:test';
import { promisify } from 'node:util';
import { leavesNothing } from '../testing/leaks.js';
import { UNWANTED, UNWANTED_BY_SERVER, withoutNodeOptions, withoutOptions } from './command.js';

/* In however many ways a program is started: it runs once, and its children see the same command as it does. */
leavesNothing();

const limit = { timeout: 60_000 };
const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'command-')));
after(() => rmSync(folder, { recursive: true }));
mkdirSync(path.join(folder, 'node_modules'));
symlinkSync(path.resolve(__dirname, '..', '..'), path.join(folder, 'node_modules', 'manyhands'));

const BODY = `
  console.log('once');
  const tell = given => [given(4), globalThis.set ?? 0, process.argv, process.execArgv, process.env.NODE_OPTIONS, process.cwd()];
  const [, , ...own] = tell(half);
  for (const method of mp.getAllStartMethods().filter(name => name !== 'fork')) {
    const { Process } = mp.getContext(method);
    const [exported, set, ...told] = await new Process({ target: tell, args: [half] }).start().result();
    console.log(method, JSON.stringify(told) === JSON.stringify(own) ? 'same' : JSON.stringify(told), exported, set);
  }`;
const MODULE = `import * as mp from 'manyhands';
  export function half(n) { return n / 2; }
  ${BODY}`;
const SCRIPT = `const mp = require('manyhands');
  function half(n) { return n / 2; }
  exports.half = half;
  (async () => { ${BODY} })();`;
writeFileSync(path.join(folder, 'main.mjs'), MODULE);
writeFileSync(path.join(folder, 'main.cjs'), SCRIPT);
writeFileSync(path.join(folder, 'an odd é#%20?.mjs'), MODULE);
writeFileSync(path.join(folder, 'set.mjs'), 'globalThis.set = (globalThis.set ?? 0) + 1;');
writeFileSync(path.join(folder, 'set.cjs'), 'globalThis.set = (globalThis.set ?? 0) + 1;');
writeFileSync(path.join(folder, 'environment'), 'FROM_FILE=1');
symlinkSync('main.mjs', path.join(folder, 'link.mjs'));

function node(args: readonly string[], env: NodeJS.ProcessEnv = process.env) {
  const running = promisify(execFile)(process.execPath, args, { cwd: folder, env });
  running.child.stdin?.end(args.at(-1) === '-' ? MODULE : '');
  return running;
}

/** Spawned children run the modules of --import and --require; forked ones do not. */
const ways: Record<string, { args: string[]; set?: number; options?: string }> = {
  'as a module': { args: ['main.mjs', 'argument'] },
  'as a script, by -r': { args: ['-r', './set.cjs', 'main.cjs'], set: 1 },
  'by --import and --require, from its folder': {
    args: ['--import', './set.mjs', '--require=./set.cjs', 'main.mjs'],
    set: 2,
  },
  'by a name that a URL must escape': { args: ['an odd é#%20?.mjs'] },
  'by a link': { args: ['link.mjs'] },
  'by a link that is kept': { args: ['--preserve-symlinks', '--preserve-symlinks-main', 'link.mjs'] },
  'by -e, with the name of a file as an argument': { args: ['-e', SCRIPT, 'main.mjs'] },
  'by -e as a module': { args: ['--input-type=module', '-e', MODULE] },
  'on standard input': { args: ['--input-type=module', '-'] },
  'with a debugger': { args: ['--inspect=0', '--max-old-space-size=300', 'main.mjs'] },
  'with a debugger and a module by NODE_OPTIONS': {
    args: ['main.mjs'],
    options: '--inspect=0 --import "./set.mjs" --stack-trace-limit=20',
    set: 1,
  },
};

describe('children see the command of a program', { concurrency: 8 }, () => {
  for (const [way, { args, set = 0, options }] of Object.entries(ways))
    test(`that is started ${way}, and runs once`, limit, async () => {
      const env = { ...process.env, ...(options === undefined ? {} : { NODE_OPTIONS: options }) };
      const { stdout, stderr } = await node(args, env);
      assert.equal(stdout, `once\nforkserver same 2 0\nspawn same 2 ${set}\n`);
      assert.ok(!/failed|error/i.test(stderr), stderr);
      assert.ok((stderr.match(/Debugger listening/g) ?? []).length <= 1, stderr);
    });
});

test('a spawned child elsewhere has what its options name from where the program began', limit, async () => {
  const program = `import * as mp from 'manyhands';
    const { Process } = mp.getContext('spawn');
    const look = () => [globalThis.set, process.cwd(), process.env.FROM_FILE];
    const nested = async () => {
      const { getContext } = await import('manyhands');
      return new (getContext('spawn').Process)({ target: look, cwd: '/usr' }).start().result();
    };
    process.chdir('/tmp');
    const env = { PATH: '' };
    for (const options of [{}, { cwd: '/', env }, { target: nested, cwd: '/' }])
      console.log(...(await new Process({ target: look, ...options }).start().result()));`;
  writeFileSync(path.join(folder, 'elsewhere.mjs'), program);
  const args = ['--import', './set.mjs', '--env-file=environment', 'elsewhere.mjs'];
  const { stdout } = await node(args);
  assert.equal(stdout, '1 /tmp 1\n1 / undefined\n1 /usr 1\n');
});

test('what cannot be started says why, and the next one starts', limit, async () => {
  const program = `import * as mp from 'manyhands';
    const long = Object.fromEntries(Array.from({ length: 30 }, (_, i) => ['LONG' + i, 'x'.repeat(120_000)]));
    const attempt = async (method, options) => {
      try {
        const { Process } = mp.getContext(method);
        return await new Process({ target: () => Object.keys(process.env).length, ...options }).start().result();
      } catch (error) {
        return error.code + (/E2BIG/.test(error.message) ? ' too big' : '');
      }
    };
    const { execPath } = process;
    for (const method of ['forkserver', 'spawn']) {
      process.execPath = '/nowhere/node';
      const told = [await attempt(method)];
      process.execPath = execPath;
      console.log(...told, await attempt(method, { env: long }), await attempt(method, { env: { A: '1' } }));
    }`;
  writeFileSync(path.join(folder, 'failing.mjs'), program);
  const { stdout } = await node(['failing.mjs']);
  assert.equal(stdout, 'ERR_LIFECYCLE 30 1\nERR_LIFECYCLE ERR_LIFECYCLE too big 1\n');
});

test("options that are the program's own business go with their values, however they are written", () => {
  const without = (options: string[]) => withoutOptions(options, UNWANTED);
  assert.deepEqual(
    without([
      ...[
        '-e',
        'code',
        '--max-old-space-size=99',
        '--inspect-brk=127.0.0.1:1',
        '--import',
        'tsx',
        '-r',
        './x',
      ],
      ...['--env_file=.env', '--test-reporter', 'spec', '--conditions', 'a', '-C', 'b', '--watch-path=x'],
      ...['--experimental-test-coverage', '--cpu-prof', '--cpu-prof-name=x', '--input-type', 'module'],
    ]),
    [
      ...['--max-old-space-size=99', '--import', 'tsx', '-r', './x', '--conditions', 'a', '-C', 'b'],
      '--cpu-prof',
    ],
  );
  const text = String.raw`--inspect  --require "./a \"b\" \\ c.js" --title=x"y z" --import ./m.mjs -C dev`;
  assert.equal(
    withoutNodeOptions(text, UNWANTED),
    String.raw`--require "./a \"b\" \\ c.js" "--title=xy z" --import ./m.mjs -C dev`,
  );
  assert.equal(withoutNodeOptions(text, UNWANTED_BY_SERVER), '"--title=xy z" -C dev');
  assert.equal(withoutNodeOptions(' ', UNWANTED), '');
});

test(
  'this Node knows no option that tests, watches, debugs, evaluates or reads the environment beside these',
  limit,
  async () => {
    const { stdout } = await node(['--help']);
    const options = [...stdout.matchAll(/^ {2}(-[^\s=[,]+(?:, -[^\s=[,]+)*)/gm)].flatMap(([, names]) =>
      names.split(', '),
    );
    assert.ok(options.length > 50);
    const left = withoutOptions(options, UNWANTED).filter(name =>
      /test|watch|inspect|eval|env-file|snapshot-blob|build-s|input-type|debug-port/.test(name),
    );
    assert.deepEqual(
      left.filter(name => !/module-mocks|inspect(ion|or)|allow-|test-tag/.test(name)),
      [],
    );
  },
);
