import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/** A CPython of this machine. */
export interface Python {
  readonly command: string;
  /** As 3.12. */
  readonly version: string;
  /** Does it prove keys by MD5 only, as up to 3.11? */
  readonly isLegacy: boolean;
}

/** One that proves keys by MD5 only, and one that does not, as far as they are there. */
export function pythons(): Python[] {
  const found: Python[] = [];
  for (const command of candidates()) {
    const { stdout } = spawnSync(command, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], {
      encoding: 'utf8',
    });
    const [major, minor] = (stdout ?? '').trim().split('.').map(Number);
    if (major !== 3 || minor < 8) continue;
    const isLegacy = minor < 12;
    if (!found.some(python => python.isLegacy === isLegacy))
      found.push({ command, version: `${major}.${minor}`, isLegacy });
    if (found.length === 2) break;
  }
  return found;
}

function candidates(): string[] {
  const versions = path.join(homedir(), '.pyenv', 'versions');
  const kept = existsSync(versions) ? readdirSync(versions).filter(name => name.startsWith('3.1')) : [];
  return [
    'python3',
    'python3.13',
    'python3.12',
    ...kept.reverse().map(name => path.join(versions, name, 'bin', 'python3')),
  ];
}
