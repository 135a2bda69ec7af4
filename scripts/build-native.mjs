/**
 * Builds the native addon into build/Release with node-gyp, unless it is there and made of the same sources.
 * The sources' digest is kept beside it.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { nodeDirectory, root, sources } from './native-toolchain.mjs';

const addon = path.join(root, 'build/Release/manyhands.node');
const stamp = path.join(root, 'build/Release/manyhands.sources');

const digest = createHash('sha256').update(`${process.arch} ${process.env.CI ? 'strict' : ''}`);
for (const file of [path.join(root, 'binding.gyp'), ...sources()]) {
  digest.update(`\0${path.relative(root, file)}\0`).update(readFileSync(file));
}
const wanted = digest.digest('hex');

if (existsSync(addon) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) {
  console.log('native addon: up to date');
} else {
  const nodeGyp = createRequire(import.meta.url).resolve('node-gyp/bin/node-gyp.js');
  const headers = nodeDirectory();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [nodeGyp, 'rebuild', '--loglevel=warn', ...(headers ? [`--nodedir=${headers}`] : [])],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    console.error(
      'Cannot build the native addon: it needs python3, make and gcc (or clang); see CONTRIBUTING.md',
    );
    process.exit(1);
  }
  process.stderr.write(stderr);
  writeFileSync(stamp, wanted);
  console.log('native addon: built');
}
