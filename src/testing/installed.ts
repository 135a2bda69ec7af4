import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after } from 'node:test';

const root = path.resolve(__dirname, '../..');

/** A folder for programs that use manyhands as those do who installed it. */
export interface Workplace {
  readonly folder: string;
  /** An environment whose shell finds the command `manyhands`, and an `npx` that runs it. */
  readonly env: NodeJS.ProcessEnv;
}

/** Makes one, an ES module package, for as long as the test file runs. `others`: what else is installed there. */
export function installed({ others = [] }: { others?: readonly string[] } = {}): Workplace {
  const folder = mkdtempSync(path.join(tmpdir(), 'installed-'));
  after(() => rmSync(folder, { recursive: true }));
  writeFileSync(path.join(folder, 'package.json'), '{ "type": "module" }');
  mkdirSync(path.join(folder, 'node_modules'));
  symlinkSync(root, path.join(folder, 'node_modules', 'manyhands'));
  for (const name of others)
    symlinkSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name));
  const bin = path.join(folder, 'bin');
  mkdirSync(bin);
  const program = path.join(root, 'dist', 'cli', 'main.js');
  const commands = { manyhands: `exec '${process.execPath}' '${program}' "$@"`, npx: 'exec "$@"' };
  for (const [name, script] of Object.entries(commands))
    writeFileSync(path.join(bin, name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return { folder, env: { ...process.env, PATH: `${bin}:${process.env.PATH}` } };
}
