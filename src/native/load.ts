import { existsSync } from 'node:fs';
import path from 'node:path';
import { UnsupportedPlatformError } from '../errors/errors.js';
import { isSupported, type Target, target } from '../platform/platform.js';

/** The package's folder, seen from dist/native. */
const packageFolder = path.resolve(__dirname, '..', '..');

let loaded: unknown;

/**
 * The native addon, loaded at the first call. So importing the library works everywhere, and using it is what fails.
 *
 * Taken from `build/Release` if it was built here (in a clone, or by a user who had to), else from `prebuilds`, which is
 * part of the published package. `MANYHANDS_ADDON` in the environment names another file, and then only that is tried.
 * @throws {UnsupportedPlatformError} None is there, or the one there does not load; the message lists what was tried.
 */
export function loadAddon(): unknown {
  loaded ??= loadFrom(packageFolder, target(), process.env.MANYHANDS_ADDON);
  return loaded;
}

/** What loadAddon() does, for a package in any folder on any platform. */
export function loadFrom(folder: string, { platform, arch, libc }: Target, override?: string): unknown {
  if (!isSupported({ platform, arch })) {
    throw new UnsupportedPlatformError(
      `Cannot use manyhands as this is ${platform} on ${arch}: it needs Linux on x64 or arm64`,
    );
  }
  const candidates = override
    ? [path.resolve(override)]
    : [
        path.join(folder, 'build', 'Release', 'manyhands.node'),
        path.join(folder, 'prebuilds', `${platform}-${arch}`, `manyhands.${libc}.node`),
      ];
  const failures: string[] = [];
  let cause: unknown;
  for (const candidate of candidates) {
    if (!existsSync(candidate)) {
      failures.push(`  ${candidate}: no such file`);
      continue;
    }
    try {
      return require(candidate);
    } catch (error) {
      cause = error;
      failures.push(`  ${candidate}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new UnsupportedPlatformError(
    `Cannot use manyhands as its native addon for ${platform}-${arch} (${libc}) did not load: build it, with python3, ` +
      `make and gcc installed, by\n  cd ${folder} && npx node-gyp rebuild\nTried:\n${failures.join('\n')}`,
    { cause },
  );
}
