import assert from 'node:assert/strict';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { resolveImport } from './resolve';

describe('a specifier means what it means to an import in that module', () => {
  let root = '';
  const url = (file: string) => pathToFileURL(path.join(root, file)).href;
  const resolve = (specifier: string) => resolveImport(specifier, url('src/main.mjs'));

  before(() => {
    root = fs.realpathSync(fs.mkdtempSync(path.join(os.tmpdir(), 'manyhands-resolve-')));
    const files: Record<string, unknown> = {
      'package.json': {
        name: 'app',
        exports: { './own': './src/own.js' },
        imports: { '#db': './src/db.js', '#fs': 'node:fs' },
      },
      'src/own.js': '',
      'src/db.js': '',
      'src/typed.ts': '',
      'src/typed.js': '',
      'src/only.ts': '',
      'node_modules/dual/package.json': {
        exports: {
          '.': { require: './main.cjs', import: './main.mjs' },
          './features/*.js': { node: { import: './features/*.mjs' } },
          './features/private/*': null,
          './list': ['./list.mjs'],
        },
      },
      'node_modules/dual/main.mjs': '',
      'node_modules/dual/main.cjs': '',
      'node_modules/dual/features/a.mjs': '',
      'node_modules/dual/list.mjs': '',
      'node_modules/@scope/plain/package.json': { main: 'lib.js' },
      'node_modules/@scope/plain/lib.js': '',
      'node_modules/@scope/plain/other.js': '',
    };
    for (const [file, content] of Object.entries(files)) {
      const full = path.join(root, file);
      fs.mkdirSync(path.dirname(full), { recursive: true });
      fs.writeFileSync(full, typeof content === 'string' ? content : JSON.stringify(content));
    }
  });
  after(() => fs.rmSync(root, { recursive: true }));

  test('builtins, with or without their prefix', () => {
    assert.equal(resolve('fs'), 'node:fs');
    assert.equal(resolve('node:path'), 'node:path');
  });

  test('relative and absolute ones, with their query', () => {
    assert.equal(resolve('./own.js?v=1'), `${url('src/own.js')}?v=1`);
    assert.equal(resolve(url('src/db.js')), url('src/db.js'));
    assert.equal(resolve('data:text/javascript,1'), 'data:text/javascript,1');
  });

  test('the JavaScript that a TypeScript file will be, unless it is there', () => {
    assert.equal(resolve('./only.js'), url('src/only.ts'));
    assert.equal(resolve('./only'), url('src/only.ts'));
    assert.equal(resolve('./typed.js'), url('src/typed.js'));
  });

  test('packages, by the conditions of an import', () => {
    assert.equal(resolve('dual'), url('node_modules/dual/main.mjs'));
    assert.equal(resolve('dual/features/a.js'), url('node_modules/dual/features/a.mjs'));
    assert.equal(resolve('dual/list'), url('node_modules/dual/list.mjs'));
    assert.equal(resolve('@scope/plain'), url('node_modules/@scope/plain/lib.js'));
    assert.equal(resolve('@scope/plain/other.js'), url('node_modules/@scope/plain/other.js'));
  });

  test("the importer's own package: its name, and its private imports", () => {
    assert.equal(resolve('app/own'), url('src/own.js'));
    assert.equal(resolve('#db'), url('src/db.js'));
    assert.equal(resolve('#fs'), 'node:fs');
  });

  test('what a package does not export, and what is not installed, is an error', () => {
    assert.throws(() => resolve('dual/features/private/x'), { code: 'ERR_PACKAGE_PATH_NOT_EXPORTED' });
    assert.throws(() => resolve('absent'), { code: 'MODULE_NOT_FOUND' });
  });
});
