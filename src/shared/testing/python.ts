import { spawnSync } from 'node:child_process';

/*
 * CPython for tests, where there is one that knows multiprocessing.shared_memory (3.8). Its resource tracker would remove at the end
 * of each program what that has so much as attached to: it is told of nothing.
 */
const PRELUDE = `
import json, sys
from multiprocessing import resource_tracker
from multiprocessing.shared_memory import ShareableList, SharedMemory
resource_tracker.register = resource_tracker.unregister = lambda *args: None
given = json.loads(sys.argv[1])
def tell(value): print(json.dumps(value))
`;

export const hasPython = spawnSync('python3', ['-c', PRELUDE, 'null']).status === 0;

/** Runs a program, in which `given` is what it is given; what it tells. */
export function python<R>(program: string, given: unknown): R {
  const { status, stdout, stderr } = spawnSync('python3', ['-c', PRELUDE + program, JSON.stringify(given)], {
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout || 'null');
}
