import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { describe, test } from 'node:test';
import ts from 'typescript';
import { prints, runsOf, startsByRun } from './testing/examples.js';
import { installed } from './testing/installed.js';
import { leavesNothing } from './testing/leaks.js';

/*
 * Runs the programs of examples/, each in a process of its own, and looks that they print what the comment at their end says.
 * MANYHANDS_EXAMPLES=queues/ runs those alone whose path contains that. Their types are checked by scripts/tsconfig.users.json.
 */

leavesNothing();

const examples = path.resolve(__dirname, '../examples');
/** Many of them sleep: to run several at once takes no longer than the longest. */
const AT_ONCE = 3;
const LIMIT = 60_000;

const { folder, env } = installed();
const all = readdirSync(examples, { recursive: true, encoding: 'utf8' }).filter(name =>
  name.endsWith('.mts'),
);

for (const name of all) {
  const { outputText } = ts.transpileModule(readFileSync(path.join(examples, name), 'utf8'), {
    compilerOptions: {
      ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
      rewriteRelativeImportExtensions: true,
    },
  });
  mkdirSync(path.join(folder, path.dirname(name)), { recursive: true });
  writeFileSync(compiled(name), outputText);
}

describe('the examples print what they say', { concurrency: AT_ONCE }, () => {
  for (const name of all.sort()) {
    if (!name.includes(process.env.MANYHANDS_EXAMPLES ?? '')) continue;
    const source = readFileSync(path.join(examples, name), 'utf8');
    for (const { args, output, errors } of runsOf(source))
      test([name, ...args].join(' '), { timeout: LIMIT }, async () => {
        const command = startsByRun(source) ? ['manyhands', 'run'] : [process.execPath];
        const printed = await run([...command, compiled(name), ...args]);
        const all = `\nprinted:\n${printed.output}${printed.errors}`;
        assert.equal(printed.status, 0, `ended with ${printed.status}${all}`);
        assert.ok(prints(printed.output, output), all);
        assert.ok(prints(printed.errors, errors), `on stderr ${all}`);
      });
  }
});

test('the list of examples has them all', () => {
  const list = readFileSync(path.join(examples, 'README.md'), 'utf8');
  const programs = all.filter(name => runsOf(readFileSync(path.join(examples, name), 'utf8')).length > 0);
  const listed = [...list.matchAll(/\(([\w-]+\/[\w-]+\.mts)\)/g)].map(([, name]) => name);
  assert.deepEqual(listed.sort(), programs.sort());
});

function compiled(name: string): string {
  return path.join(folder, name.replace(/\.mts$/, '.mjs'));
}

async function run([command = '', ...args]: string[]) {
  const child = spawn(command, args, { cwd: folder, env, timeout: LIMIT, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise(resolve => child.once('exit', (code, signal) => resolve(code ?? signal)));
  const [output, errors, status] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  return { output, errors, status };
}
