import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import * as errors from './errors/errors.js';
import * as face from './index.js';
import { leavesNothing } from './testing/leaks.js';

leavesNothing();

const root = path.resolve(__dirname, '..');

function runs(options: string[], program: string): unknown {
  const output = execFileSync(process.execPath, [...options, '--eval', program], {
    cwd: root,
    encoding: 'utf8',
  });
  return JSON.parse(output);
}

test('import and require give the same names, and the same objects', () => {
  const names = runs(
    ['--input-type=module'],
    `import * as imported from 'manyhands';
     import { createRequire } from 'node:module';
     const required = createRequire(process.cwd() + '/x.js')('manyhands');
     for (const name of Object.keys(required)) if (imported[name] !== required[name]) throw new Error(name);
     console.log(JSON.stringify(Object.keys(imported).sort()));`,
  );
  assert.deepEqual(names, Object.keys(face).sort());
});

test('a program that requires it runs a pool, and so does one that imports it', () => {
  const body =
    'const pool = new Pool(1); const done = await pool.run(n => n * 2, [21]); await pool.terminate();';
  assert.equal(
    runs([], `const { Pool } = require('manyhands'); (async () => { ${body} console.log(done); })();`),
    42,
  );
  assert.equal(
    runs(['--input-type=module'], `import { Pool } from 'manyhands'; ${body} console.log(done);`),
    42,
  );
});

test('what package.json does not list cannot be imported', () => {
  assert.throws(
    () =>
      execFileSync(process.execPath, ['--eval', "require('manyhands/dist/pool/pool.js')"], {
        cwd: root,
        stdio: 'pipe',
      }),
    /ERR_PACKAGE_PATH_NOT_EXPORTED/,
  );
});

/** Made with all that any of them wants. */
function example(
  Class: new (message: string, options: never) => errors.ManyhandsError,
): errors.ManyhandsError {
  const options = { path: 'args', pid: 1, exitCode: 1, signalCode: null, remoteName: 'Odd', cause: 'why' };
  return new Class('a message', options as never);
}

test('docs/errors.md tells of every class of error, and of no other', () => {
  const sections = readFileSync(path.join(root, 'docs', 'errors.md'), 'utf8')
    .split(/^## /m)
    .slice(1);
  const told = sections.map(section => {
    const [, name, code] = /^(\w+)\n\n`(\w+)`\. /.exec(section) ?? assert.fail(section);
    const [, when, advice] = section.trim().split('\n\n');
    assert.ok(when && advice, `${name}: when it is thrown, then what to do`);
    return [name, code];
  });
  const all = Object.entries(errors).map(([name, Class]) => [name, example(Class as never).code]);
  assert.deepEqual(told.sort(), all.sort());
  assert.equal(new Set(all.map(([, code]) => code)).size, all.length, 'each has a code of its own');
});

test('every class of error is exported, has its name and is a ManyhandsError', () => {
  for (const [name, Class] of Object.entries(errors)) {
    assert.equal((face as Record<string, unknown>)[name], Class);
    const error = example(Class as never);
    assert.ok(error instanceof face.ManyhandsError && error instanceof Error);
    assert.equal(error.name, name);
    assert.equal(error.message, 'a message');
    assert.equal(error.cause, 'why');
    assert.match(String(error.stack), new RegExp(`^${name}: a message\n`));
    assert.equal(Object.keys(error).includes('name'), false, 'its name does not travel as a property');
  }
});
