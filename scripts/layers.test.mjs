import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { findFaults } from './layers.mjs';

/** What is found in a folder of these files. */
function faultsIn(files) {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-layers-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeFileSync(path.join(folder, name), text);
    }
    return findFaults(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

const leaf = {
  'errors/errors.ts': 'export class E {}',
  'memory/arena.ts': "import { E } from '../errors/errors.js';",
};

test('imports downwards and within a folder pass', () => {
  assert.deepEqual(
    faultsIn({
      ...leaf,
      'wait/nap.ts':
        "import '../memory/arena.js';\nimport type { D } from './door.js';\nimport fs from 'node:fs';",
      'wait/door.ts': '',
      'cli/main.ts': "import '../index.js';",
      'index.ts': "export * from './wait/nap.js';",
    }),
    [],
  );
});

test('an import upwards is named with its line, whatever its form', () => {
  const upwards = form => faultsIn({ 'pool/pool.ts': '', 'wait/nap.ts': `\n\n${form}` });
  for (const form of [
    "import { Pool } from '../pool/pool.js';",
    "import type { Pool } from '../pool/pool.js';",
    "export * from '../pool/pool.js';",
    "const { Pool } = await import('../pool/pool.js');",
    "const { Pool } = require('../pool/pool.js');",
    "type Pool = import('../pool/pool.js').Pool;",
  ]) {
    assert.deepEqual(
      upwards(form),
      ['wait/nap.ts:3 imports pool/pool.ts, but pool does not stand below wait'],
      form,
    );
  }
});

test('layers of one row may not import each other', () => {
  assert.equal(faultsIn({ 'errors/a.ts': "import '../platform/b.js';", 'platform/b.ts': '' }).length, 1);
});

test('only tests use the helpers for tests, and nothing imports a test', () => {
  const files = { 'testing/leaks.ts': "import '../memory/arena.js';", ...leaf };
  assert.deepEqual(faultsIn({ ...files, 'wait/nap.test.ts': "import '../testing/leaks.js';" }), []);
  assert.deepEqual(faultsIn({ ...files, 'wait/nap.ts': "import '../testing/leaks.js';" }), [
    'wait/nap.ts:1 imports testing/leaks.ts, which only tests may use',
  ]);
  assert.deepEqual(faultsIn({ 'wait/nap.test.ts': '', 'wait/nap.ts': "import './nap.test.js';" }), [
    'wait/nap.ts:1 imports wait/nap.test.ts, which is a test',
  ]);
  assert.equal(faultsIn({ 'wait/nap.test.ts': "import '../pool/pool.js';", 'pool/pool.ts': '' }).length, 1);
});

test('a folder without a place and a file that is not there are faults', () => {
  assert.deepEqual(faultsIn({ 'misc/a.ts': "import '../errors/errors.js';", 'errors/errors.ts': '' }), [
    'misc/a.ts:1 imports errors/errors.ts, but misc has no place in the order of layers',
  ]);
  assert.deepEqual(faultsIn({ 'wait/a.ts': "import './gone.js';" }), [
    'wait/a.ts:1 imports wait/gone.js, which is no source file',
  ]);
});

test('a circle is shown once', () => {
  assert.deepEqual(
    faultsIn({
      'wait/a.ts': "import './b.js';",
      'wait/b.ts': "import './c.js';",
      'wait/c.ts': "import './a.js';",
      'wait/d.ts': "import './b.js';",
    }),
    ['wait/a.ts → wait/b.ts → wait/c.ts → wait/a.ts is a circle'],
  );
});

test('types and what is imported later make no circle', () => {
  const circle = back => faultsIn({ 'wait/a.ts': "import './b.js';", 'wait/b.ts': back });
  assert.deepEqual(circle("import type { A } from './a.js';"), []);
  assert.deepEqual(circle("import { type A } from './a.js';"), []);
  assert.deepEqual(circle("export type { A } from './a.js';"), []);
  assert.deepEqual(circle("async () => import('./a.js');"), []);
  assert.equal(circle("import { type A, b } from './a.js';").length, 1);
  assert.equal(circle("export * from './a.js';").length, 1);
  assert.equal(circle("import a from './a';").length, 1);
});
