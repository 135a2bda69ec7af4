/** Builds everything that a clone needs to run: the native addon, dist/ by TypeScript, the ES module face. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');

await Promise.all([
  step(path.join(root, 'scripts/build-native.mjs')),
  step(createRequire(import.meta.url).resolve('typescript/bin/tsc')),
]);
await step(path.join(root, 'scripts/build-esm.mjs'));

async function step(file) {
  const child = spawn(process.execPath, [file], { cwd: root, stdio: 'inherit' });
  const status = await new Promise(resolve => child.on('close', resolve));
  if (status === 0) return;
  console.error(`Cannot build: ${path.relative(root, file)} failed`);
  process.exit(1);
}
