import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { UnsupportedPlatformError } from '../errors/errors.js';
import { target } from '../platform/platform.js';
import { leavesNothing } from '../testing/leaks.js';
import { loadAddon, loadFrom } from './load.js';

leavesNothing();

const built = process.env.MANYHANDS_ADDON ?? path.resolve(__dirname, '../../build/Release/manyhands.node');
const glibc = { platform: 'linux', arch: 'x64', libc: 'glibc' } as const;
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'manyhands-load-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(name: string, contents?: string): string {
  const file = path.join(folder, name);
  mkdirSync(path.dirname(file), { recursive: true });
  if (contents === undefined) copyFileSync(built, file);
  else writeFileSync(file, contents);
  return file;
}

test('the addon loads, and is the same at each call', () => {
  const addon = loadAddon();
  assert.equal(typeof addon, 'object');
  assert.equal(loadAddon(), addon);
});

test('the prebuilt addon is taken when none was built here', () => {
  const here = target();
  put(`prebuilds/linux-${here.arch}/manyhands.${here.libc}.node`);
  assert.deepEqual(Object.keys(loadFrom(folder, here) as object), Object.keys(loadAddon() as object));
});

test('a broken build is passed over for a prebuilt addon', () => {
  const here = target();
  put('build/Release/manyhands.node', 'not an addon');
  put(`prebuilds/linux-${here.arch}/manyhands.${here.libc}.node`);
  assert.equal(typeof loadFrom(folder, here), 'object');
});

test('elsewhere than Linux on x64 or arm64 the error names the platform', () => {
  assert.throws(
    () => loadFrom(folder, { platform: 'darwin', arch: 'arm64', libc: null }),
    (error: unknown) =>
      error instanceof UnsupportedPlatformError &&
      error.code === 'ERR_UNSUPPORTED_PLATFORM' &&
      error.message.includes('darwin on arm64'),
  );
});

test('when nothing loads, the error says what was tried and how to build', () => {
  const broken = put('build/Release/manyhands.node', 'not an addon');
  assert.throws(
    () => loadFrom(folder, glibc),
    (error: unknown) => {
      assert.ok(error instanceof UnsupportedPlatformError);
      assert.ok(error.message.includes(`${broken}: `), error.message);
      assert.ok(error.message.includes(`${folder}/prebuilds/linux-x64/manyhands.glibc.node: no such file`));
      assert.ok(error.message.includes(`cd ${folder} && npx node-gyp rebuild`));
      assert.ok(error.cause instanceof Error);
      return true;
    },
  );
});

test('a file named by the environment is the only one tried', () => {
  const missing = path.join(folder, 'mine.node');
  put('build/Release/manyhands.node');
  assert.throws(
    () => loadFrom(folder, glibc, missing),
    (error: unknown) =>
      error instanceof UnsupportedPlatformError &&
      error.message.includes(`${missing}: no such file`) &&
      !error.message.includes('Release'),
  );
  assert.equal(typeof loadFrom(folder, glibc, put('mine.node')), 'object');
});
