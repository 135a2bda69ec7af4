/** `npm test`: builds, then runs every check, also after one has failed, and tells how each went. */
import { spawnSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const require = createRequire(import.meta.url);
const biome = require.resolve('@biomejs/biome/bin/biome');

const steps = [
  ['lint', biome, 'check', '--error-on-warnings'],
  ['layers', 'scripts/check-layers.mjs'],
  ['build and types', 'scripts/build.mjs'],
  ['types as programs see them', require.resolve('typescript/bin/tsc'), '-p', 'scripts/tsconfig.users.json'],
  ['documentation', 'scripts/docs.mjs'],
  ['tests', 'scripts/test.mjs'],
  ['Node 22 and 24', 'scripts/try-nodes.mjs'],
];

const results = [];
for (const [name, ...command] of steps) {
  const began = performance.now();
  console.log(`▶ ${name}`);
  const { status } = spawnSync(process.execPath, command, { cwd: root, stdio: 'inherit' });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  results.push(`${status === 0 ? '✔' : '✖'} ${name} (${seconds} s)`);
  if (status !== 0) process.exitCode = 1;
  if (status !== 0 && name === 'build and types') break; // what would be tested is not there
}
console.log(`\n${results.join('\n')}`);
