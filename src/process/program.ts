import { readlinkSync } from 'node:fs';
import { native } from '../native/native.js';
import { SINGLE_THREADED } from '../platform/single-threaded.js';

/** More than that, and only stdin, stdout and stderr are passed on. */
const MOST_GIVEN = 1024;

/**
 * Replaces this process by Node running `file`, in a way in which fork() is allowed there. The program has this process's pid,
 * terminal, stdin and stdout, folder, environment and options of Node.
 */
export function becomeProgram(file: string, args: readonly string[]): never {
  const environment = Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
  // What begins with a dash is an option to Node.
  const script = file.startsWith('-') ? ['--', file] : [file];
  return native.execute(
    process.execPath,
    [process.execPath, ...SINGLE_THREADED, ...process.execArgv, ...script, ...args],
    environment,
    descriptorsGiven(),
  );
}

/**
 * How many descriptors this process was started with: Node marks all it finds as not to be inherited, and then opens its own,
 * first that of an event loop.
 */
function descriptorsGiven(): number {
  for (let fd = 0; fd < MOST_GIVEN; fd++) if (fileOf(fd) === 'anon_inode:[eventpoll]') return fd;
  return 3;
}

function fileOf(fd: number): string | undefined {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return undefined; // it is not open
  }
}
