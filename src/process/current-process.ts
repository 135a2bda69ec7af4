import { livingChildren } from './children.js';
import { ownProcess, type Process } from './process.js';

/**
 * The process that this is called in: its pid, name, daemon, authkey and usage; in a subclass of Process with a run() of its own,
 * the very `this` of that. In the program itself its name is `MainProcess`. It cannot be waited for or ended from within:
 * that is what process.exit() is for. Each thread has an object of its own.
 *
 * Python: `multiprocessing.current_process`.
 */
export function currentProcess(): Process {
  return ownProcess();
}

/**
 * The processes that this thread has started and that live, a pool's workers among them. Those that have ended are taken off the
 * process table.
 *
 * Python: `multiprocessing.active_children`; there, those of other threads too.
 */
export function activeChildren(): Process[] {
  return livingChildren();
}
