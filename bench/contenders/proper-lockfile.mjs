import path from 'node:path';
import lockfile from 'proper-lockfile';
import { inForks } from '../harness/contention.mjs';

export const contend = options => inForks(import.meta.url, options);

/** Its blocking form tries once: so it is asked again, which is quicker than its async form with its pauses. */
export function openLock({ folder }) {
  const file = path.join(folder, 'locked');
  const acquire = () => {
    for (;;) {
      try {
        return lockfile.lockSync(file, { realpath: false });
      } catch (error) {
        if (error.code !== 'ELOCKED') throw error;
      }
    }
  };
  return {
    pairs(count) {
      for (let i = 0; i < count; i++) acquire()();
    },
    exclusively(work) {
      const release = acquire();
      work();
      release();
    },
  };
}
