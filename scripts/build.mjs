/** Builds everything that a clone needs to run: the native addon, dist/ by TypeScript, the ES module face. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const steps = [
  path.join(root, 'scripts/build-native.mjs'),
  createRequire(import.meta.url).resolve('typescript/bin/tsc'),
  path.join(root, 'scripts/build-esm.mjs'),
];

for (const step of steps) {
  try {
    execFileSync(process.execPath, [step], { cwd: root, stdio: 'inherit' });
  } catch {
    console.error(`Cannot build: ${path.relative(root, step)} failed`);
    process.exit(1);
  }
}
