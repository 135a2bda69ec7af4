import { readFileSync } from 'node:fs';

/** What a native binary must have been built for to run here. */
export interface Target {
  readonly platform: string;
  readonly arch: string;
  /** The C library of this process; null on anything but Linux. */
  readonly libc: 'glibc' | 'musl' | null;
}

/** What this process runs on. */
export function target(): Target {
  const { platform, arch } = process;
  return { platform, arch, libc: platform === 'linux' ? libc() : null };
}

/** Whether the library can be used here; importing it works everywhere. */
export function isSupported({ platform, arch }: { platform: string; arch: string } = process): boolean {
  return platform === 'linux' && (arch === 'x64' || arch === 'arm64');
}

/**
 * The C library mapped into this very process. `process.report` knows it too, but looks up host names on the way, and
 * `ldd` is a guess about another program.
 */
export function libc(readFile: (path: string) => string = readText): 'glibc' | 'musl' {
  return /\/(ld-musl-|libc\.musl-)[^/\n]*$/m.test(readFile('/proc/self/maps')) ? 'musl' : 'glibc';
}

function readText(path: string): string {
  return readFileSync(path, 'utf8');
}
