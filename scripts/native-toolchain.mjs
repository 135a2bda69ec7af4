/** What the scripts that compile native/ share: its sources, Node's headers, and a compiler call without node-gyp. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync } from 'node:fs';
import path from 'node:path';

export const root = path.resolve(import.meta.dirname, '..');

/** Every file the addon is made of, sorted, headers included. */
export function sources() {
  return readdirSync(path.join(root, 'native'))
    .filter(name => /\.[ch]$/.test(name))
    .sort()
    .map(name => path.join(root, 'native', name));
}

/** The folder whose include/node holds Node's headers, or undefined where node-gyp has to download them. */
export function nodeDirectory() {
  return [process.env.npm_config_nodedir, path.resolve(process.execPath, '../..')].find(
    folder => folder && existsSync(path.join(folder, 'include/node/node_api.h')),
  );
}

/**
 * Compiles the addon with `compiler` to `output`, as binding.gyp says but for the additions in `flags`.
 * Ends the script, with the compiler's words, if it does not compile.
 */
export function compile({ compiler, flags, output }) {
  const headers = nodeDirectory();
  if (!headers) {
    console.error("Cannot find Node's headers: give a folder that has include/node in npm_config_nodedir");
    process.exit(1);
  }
  mkdirSync(path.dirname(output), { recursive: true });
  run(compiler, [
    ...[
      '-std=c11',
      '-O2',
      '-Wall',
      '-Wextra',
      '-Werror',
      '-fPIC',
      '-pthread',
      '-shared',
      '-fvisibility=hidden',
      '-Wl,-z,now',
    ],
    ...['-DNAPI_VERSION=8', '-D_GNU_SOURCE', '-DNODE_GYP_MODULE_NAME=manyhands', '-DBUILDING_NODE_EXTENSION'],
    ...['-I', path.join(headers, 'include/node')],
    ...sources().filter(file => file.endsWith('.c')),
    ...flags,
    ...['-o', output],
  ]);
}

/** What a tool printed. Ends the script, with the tool's words, if it is missing or fails. */
export function run(command, args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { encoding: 'utf8', cwd: root });
  if (error) {
    console.error(
      `Cannot run ${command} (${error.message}): see CONTRIBUTING.md for what has to be installed`,
    );
    process.exit(1);
  }
  if (status !== 0) {
    process.stderr.write(stdout + stderr);
    console.error(`${command} failed`);
    process.exit(1);
  }
  return stdout;
}
