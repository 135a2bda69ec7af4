import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { leavesNothing } from '../testing/leaks.js';
import { isSupported, libc, target } from './target.js';

leavesNothing();

test('Linux on x64 and arm64 is supported, and nothing else', () => {
  assert.equal(isSupported({ platform: 'linux', arch: 'x64' }), true);
  assert.equal(isSupported({ platform: 'linux', arch: 'arm64' }), true);
  assert.equal(isSupported({ platform: 'linux', arch: 'riscv64' }), false);
  assert.equal(isSupported({ platform: 'darwin', arch: 'arm64' }), false);
  assert.equal(isSupported({ platform: 'win32', arch: 'x64' }), false);
});

test('musl is told from glibc by what is mapped', () => {
  const line = (file: string) => `7f2a4c000000-7f2a4c01b000 r-xp 00000000 00:2f 131 ${file}\n`;
  const maps = (file: string) => () => line('/usr/bin/node') + line(file) + line('[stack]');
  assert.equal(libc(maps('/lib/ld-musl-x86_64.so.1')), 'musl');
  assert.equal(libc(maps('/lib/libc.musl-aarch64.so.1')), 'musl');
  assert.equal(libc(maps('/usr/lib/x86_64-linux-gnu/libc.so.6')), 'glibc');
  assert.equal(libc(maps('/home/ld-musl-fan/libc.so.6')), 'glibc');
});

test("this process's libc is the one that its program was linked with", {
  skip: process.platform !== 'linux',
}, () => {
  const linked = execFileSync('ldd', [process.execPath], { encoding: 'utf8' });
  assert.deepEqual(target(), {
    platform: 'linux',
    arch: process.arch,
    libc: linked.includes('musl') ? 'musl' : 'glibc',
  });
});
