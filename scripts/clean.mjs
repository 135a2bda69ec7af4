/** Removes all that building makes. */
import { rmSync } from 'node:fs';
import path from 'node:path';

for (const name of ['dist', 'build', 'prebuilds', 'site']) {
  rmSync(path.resolve(import.meta.dirname, '..', name), { recursive: true, force: true });
}
