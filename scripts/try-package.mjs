/**
 * Packs the package, installs the result in a temporary folder without running scripts, and uses it as a user would: by
 * import and require, from TypeScript of both kinds, by its command, with the prebuilt addon, and with one built there.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { nodeDirectory } from './native-toolchain.mjs';

const root = path.resolve(import.meta.dirname, '..');
const require = createRequire(import.meta.url);
const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-package-'));
process.on('exit', () => rmSync(folder, { recursive: true }));

const run = (command, args, cwd = folder) =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
const node = (...args) => run(process.execPath, args);
const check = (what, act) => {
  act();
  console.log(`✔ ${what}`);
};

const packed = JSON.parse(
  run('npm', ['pack', '--json', '--silent', '--pack-destination', folder], root).replace(
    /^[^[{]*\n(?=[[{])/s,
    '',
  ),
);
const [{ filename, files }] = Object.values(packed);
const installed = path.join(folder, 'node_modules/manyhands');

check('holds an addon for each platform, and no tests', () => {
  const names = files.map(file => file.path);
  for (const platform of ['linux-x64', 'linux-arm64']) {
    for (const libc of ['glibc', 'musl']) {
      const name = `prebuilds/${platform}/manyhands.${libc}.node`;
      if (!names.includes(name)) throw new Error(`${name} is missing`);
    }
  }
  const foreign = names.filter(name => /\.test\.|testing\/|tsbuildinfo/.test(name));
  if (foreign.length > 0) throw new Error(`should not be packed: ${foreign}`);
});

check('installs without scripts', () => {
  writeFileSync(path.join(folder, 'package.json'), '{ "private": true }');
  run('npm', ['install', '--ignore-scripts', '--silent', path.join(folder, filename)]);
  const { scripts } = JSON.parse(readFileSync(path.join(installed, 'package.json'), 'utf8'));
  if (scripts.install || scripts.preinstall || scripts.postinstall)
    throw new Error('it has an install script');
});

const useAddon =
  "require('manyhands/package.json'); require('./node_modules/manyhands/dist/native/load.js').loadAddon()";
check('loads the prebuilt addon', () => node('--eval', useAddon));

check('is one library for import and require', () => {
  writeFileSync(
    path.join(folder, 'both.mjs'),
    `import * as imported from 'manyhands';
     import { createRequire } from 'node:module';
     const required = createRequire(import.meta.url)('manyhands');
     for (const name of Object.keys(required)) if (imported[name] !== required[name]) throw new Error(name);`,
  );
  node('both.mjs');
});

check('has types for import and require', () => {
  for (const file of ['user.mts', 'user.cts']) {
    writeFileSync(
      path.join(folder, file),
      "import { ManyhandsError } from 'manyhands';\nexport const code: string = new ManyhandsError().code;\n",
    );
  }
  mkdirSync(path.join(folder, 'node_modules/@types'), { recursive: true });
  symlinkSync(path.join(root, 'node_modules/@types/node'), path.join(folder, 'node_modules/@types/node'));
  symlinkSync(path.join(root, 'node_modules/undici-types'), path.join(folder, 'node_modules/undici-types'));
  const options = [
    '--noEmit',
    '--strict',
    '--module',
    'nodenext',
    '--target',
    'es2022',
    '--lib',
    'es2023,esnext.disposable',
  ];
  node(require.resolve('typescript/bin/tsc'), ...options, '--types', 'node', 'user.mts', 'user.cts');
});

check('has its command', () => run(path.join(folder, 'node_modules/.bin/manyhands'), ['--help']));

check('builds from source where there is no prebuilt addon', () => {
  rmSync(path.join(installed, 'prebuilds'), { recursive: true });
  const headers = nodeDirectory();
  const options = headers ? [`--nodedir=${headers}`] : [];
  run(
    process.execPath,
    [require.resolve('node-gyp/bin/node-gyp.js'), 'rebuild', '--silent', ...options],
    installed,
  );
  node('--eval', useAddon);
});
