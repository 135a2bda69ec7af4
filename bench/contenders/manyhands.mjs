import { createRequire } from 'node:module';
import path from 'node:path';
import idleTask from '../workers/idle.cjs';
import { echo, increment, nothing } from '../workers/tasks.mjs';

const require = createRequire(import.meta.url);
const dist = path.resolve(process.env.MANYHANDS_DIST ?? path.join(import.meta.dirname, '../../dist'));
const { Pool, Process, setStartMethod } = require(path.join(dist, 'index.js'));

/** `sync`: join by blocking, not by the event loop. `target`: 'imported' for a function that the child has to import. */
export function lifecycle({ method, target, sync = false }) {
  setStartMethod(method);
  const run = target === 'imported' ? nothing : () => {};
  return sync
    ? () => {
        new Process({ target: run }).start().joinSync();
      }
    : async () => {
        await new Process({ target: run }).start().join();
      };
}

export function startIdle(file) {
  const child = new Process({ target: idleTask.idle, args: [file] }).start();
  return {
    pid: child.pid,
    end() {
      child.kill();
      return child.join();
    },
  };
}

export async function openPool({ kind, workers }) {
  const pool = new Pool({ size: workers, kind });
  return {
    increment: x => pool.run(increment, [x]),
    echo: bytes => pool.run(echo, [bytes]),
    map: items => pool.map(increment, items),
    close: () => pool.terminate(),
  };
}
