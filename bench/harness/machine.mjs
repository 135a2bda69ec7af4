/** What a result depends on besides the code. */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const bench = path.join(import.meta.dirname, '..');
/** Above this share of the cores in use, figures are of the company as much as of the contenders. */
const BUSY = 0.4;

export function machine(python) {
  const cpus = os.cpus();
  const load = os.loadavg()[0];
  return {
    date: new Date().toISOString(),
    commit: tryRun('git', ['-C', bench, 'describe', '--always', '--dirty', '--exclude', '*']),
    node: process.version,
    python: python?.version,
    cpu: cpus[0]?.model.trim(),
    cores: os.availableParallelism(),
    kernel: os.release(),
    load,
    busy: load > BUSY * os.availableParallelism(),
  };
}

/** The newest CPython 3 on the machine, or undefined. */
export function newestPython() {
  const versions = path.join(process.env.PYENV_ROOT ?? path.join(os.homedir(), '.pyenv'), 'versions');
  const candidates = [
    ...(existsSync(versions)
      ? readdirSync(versions).map(name => path.join(versions, name, 'bin/python3'))
      : []),
    ...(process.env.PATH ?? '')
      .split(':')
      .filter(folder => existsSync(folder))
      .flatMap(folder =>
        readdirSync(folder)
          .filter(name => /^python3(\.\d+)?$/.test(name))
          .map(name => path.join(folder, name)),
      ),
  ];
  const tell =
    'import sys; print(sys.implementation.name, "%d.%d.%d" % sys.version_info[:3], sys.executable)';
  const found = candidates.flatMap(candidate => {
    const [name, version, executable] = tryRun(candidate, ['-c', tell])?.split(' ') ?? [];
    return name === 'cpython' && executable ? [{ version, executable }] : [];
  });
  return found.sort((a, b) => b.version.localeCompare(a.version, 'en', { numeric: true }))[0];
}

/** The installed version of each peer, by its name. */
export function peerVersions() {
  const { dependencies } = JSON.parse(readFileSync(path.join(bench, 'package.json'), 'utf8'));
  return Object.fromEntries(
    Object.keys(dependencies).flatMap(name => {
      const file = path.join(bench, 'node_modules', name, 'package.json');
      return existsSync(file) ? [[name, JSON.parse(readFileSync(file, 'utf8')).version]] : [];
    }),
  );
}

function tryRun(command, args) {
  try {
    return execFileSync(command, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: 5_000,
    }).trim();
  } catch {
    return undefined;
  }
}
