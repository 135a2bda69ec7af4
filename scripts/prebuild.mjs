/**
 * Builds the addon for every platform the package supports into prebuilds/, on Linux x64 with Debian's cross compilers
 * (CONTRIBUTING.md names the packages), or only for those given: `node scripts/prebuild.mjs linux-x64.glibc`.
 *
 * None is linked with a libc: the symbols come from the one the host process has mapped. Each is compiled with the headers
 * of its own libc, though, since the two differ in structs and in names. For musl on arm64 Debian has no compiler on x64,
 * only the headers, in the package musl-dev:arm64; MUSL_ARM64 may name a folder where it is unpacked.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { compile, root, run } from './native-toolchain.mjs';

/** What the oldest supported Node, 20, asks of the system: nothing newer may be asked by the addon. */
const OLDEST_GLIBC = [2, 28];

/** What glibc 2.34 moved here from libpthread, libdl and librt: new version, old symbol. */
const MOVED = /^(pthread_|sem_|dl(open|sym|close|error|addr)$|shm_|timer_|mq_|aio_)/;

const x64 = { machine: 'Advanced Micro Devices X86-64', compiler: 'gcc' };
const arm64 = { machine: 'AArch64', compiler: 'aarch64-linux-gnu-gcc' };

/** Outline atomics would ask libc for the processor's features under a name that musl hides. */
const ARM64_FLAGS = ['-mno-outline-atomics'];

const glibc = () => [path.join(root, 'scripts/glibc-2.28.c')];

const targets = {
  'linux-x64.glibc': { ...x64, flags: glibc },
  'linux-x64.musl': {
    ...x64,
    flags: () =>
      muslHeaders(x64.compiler, '/usr/include/x86_64-linux-musl', [
        '/usr/include',
        '/usr/include/x86_64-linux-gnu',
      ]),
  },
  'linux-arm64.glibc': { ...arm64, flags: () => [...ARM64_FLAGS, ...glibc()] },
  'linux-arm64.musl': {
    ...arm64,
    flags: () => [
      ...ARM64_FLAGS,
      ...muslHeaders(arm64.compiler, path.join(arm64Musl(), 'usr/include/aarch64-linux-musl'), [
        '/usr/aarch64-linux-gnu/include',
      ]),
    ],
  },
};

const wanted = process.argv.length > 2 ? process.argv.slice(2) : Object.keys(targets);
for (const name of wanted) {
  const target = targets[name];
  if (!target) {
    console.error(`Cannot build for ${name}: choose of ${Object.keys(targets).join(', ')}`);
    process.exit(2);
  }
  const [platform, libc] = name.split('.');
  const output = path.join(root, 'prebuilds', platform, `manyhands.${libc}.node`);
  const flags = [...target.flags(), '-U_FORTIFY_SOURCE', '-s'];
  if (libc === 'glibc') checkVersions(target, flags);
  compile({ compiler: target.compiler, flags: [...flags, '-nostdlib', '-lgcc'], output });
  check(output, target, libc);
  console.log(`${path.relative(root, output)}: ${(statSync(output).size / 1024).toFixed(0)} KB`);
}

/** Compiles for musl with a compiler made for glibc: its own headers and the kernel's stay, the libc's are replaced. */
function muslHeaders(compiler, folder, kernel) {
  if (!existsSync(path.join(folder, 'pthread.h'))) {
    console.error(`Cannot find musl's headers in ${folder}: install Debian's musl-dev for that processor`);
    process.exit(1);
  }
  // The kernel's headers share a folder with glibc's, none of which may be found.
  const linux = temporaryFolder();
  for (const name of ['linux', 'asm', 'asm-generic']) {
    const home = kernel.find(candidate => existsSync(path.join(candidate, name)));
    if (home) symlinkSync(path.join(home, name), path.join(linux, name));
  }
  const own = run(compiler, ['-print-file-name=include']).trim();
  return ['-nostdinc', ...[folder, own, linux].flatMap(directory => ['-isystem', directory])];
}

/** The folder in which Debian's musl-dev:arm64 is unpacked; it is not installed, as its processor is not this one's. */
function arm64Musl() {
  if (process.env.MUSL_ARM64) return process.env.MUSL_ARM64;
  const folder = temporaryFolder();
  try {
    execFileSync('apt-get', ['download', 'musl-dev:arm64'], {
      cwd: folder,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
  } catch (error) {
    console.error(
      `Cannot download musl-dev:arm64: ${error.stderr ?? error.message}` +
        'Run "dpkg --add-architecture arm64 && apt-get update", or unpack it elsewhere and set MUSL_ARM64',
    );
    process.exit(1);
  }
  run('dpkg-deb', [
    '-x',
    path.join(
      folder,
      readdirSync(folder).find(name => name.endsWith('.deb')),
    ),
    folder,
  ]);
  return folder;
}

/** Without a libc to link with, symbols carry no version: ask a build that has one what they would be. */
function checkVersions({ compiler }, flags) {
  const output = path.join(temporaryFolder(), 'versioned.node');
  compile({ compiler, flags, output });
  const tooNew = [
    ...run('readelf', ['--dyn-syms', '-W', output]).matchAll(/ UND (\w+)@GLIBC_(\d+)\.(\d+)/g),
  ].filter(
    ([, name, major, minor]) =>
      (Number(major) - OLDEST_GLIBC[0] || Number(minor) - OLDEST_GLIBC[1]) > 0 && !MOVED.test(name),
  );
  if (tooNew.length > 0) {
    const names = tooNew.map(([, name, major, minor]) => `${name} (glibc ${major}.${minor})`).join(', ');
    console.error(`The addon wants what glibc ${OLDEST_GLIBC.join('.')} does not have: ${names}`);
    process.exit(1);
  }
}

/** Removed when the script ends. */
function temporaryFolder() {
  const folder = mkdtempSync(path.join(tmpdir(), 'manyhands-prebuild-'));
  process.on('exit', () => rmSync(folder, { recursive: true }));
  return folder;
}

/** The file is for the right processor, exports what Node looks for, and needs no library at all. */
function check(file, { machine }, libc) {
  const fault = complaint => {
    console.error(`${file} ${complaint}`);
    process.exit(1);
  };
  if (!run('readelf', ['-h', file]).includes(machine)) fault(`is not for ${machine}`);
  const dynamic = run('readelf', ['-dW', file]);
  if (dynamic.includes('(NEEDED)')) fault(`needs a library:\n${dynamic}`);
  const symbols = run('readelf', ['--dyn-syms', '-W', file]);
  if (!/ (napi_register_module_v1|node_api_module_get_api_version_v1)$/m.test(symbols))
    fault('is no Node-API addon');
  if (libc === 'musl') {
    const wanted = [...symbols.matchAll(/ GLOBAL .* UND (\w+)$/gm)].map(match => match[1]);
    const odd = wanted.filter(name => !/^(napi|uv)_/.test(name) && !muslExports().has(name));
    if (odd.length > 0) fault(`wants what musl does not have: ${odd.join(', ')}`);
  }
}

/** What musl offers, read from the one for this processor: it is the same on every other. */
function muslExports() {
  const symbols = run('readelf', ['--dyn-syms', '-W', '/usr/lib/x86_64-linux-musl/libc.so']);
  return new Set([...symbols.matchAll(/ (?:GLOBAL|WEAK) +DEFAULT +\d+ (\w+)$/gm)].map(match => match[1]));
}
