import type { ChildProcess, SpawnOptions } from 'node:child_process';
import { statSync } from 'node:fs';
import { LifecycleError } from '../errors/errors.js';

/*
 * How the Nodes of children are started: with the options that this program's Node was given, but for those that are the
 * program's own business.
 */

/** Options that say what to run or how often, open a port, read the environment, or name a file to write. */
const NOT_FOR_CHILDREN = [
  ...[
    '-e',
    '--eval',
    '-p',
    '--print',
    '-pe',
    '-c',
    '--check',
    '-i',
    '--interactive',
    '--run',
    '--input-type',
  ],
  ...['--entry-url', '--test.*', '--experimental-test-(coverage|isolation)', '--watch.*', '--env-file.*'],
  ...['--inspect.*', '--debug-port', '--build-snapshot.*', '--snapshot-blob', '--experimental-sea-config'],
  ...['--build-sea', '--cpu-prof-name', '--heap-prof-name'],
];
/** Options that run code, or threads, which a fork would not have. */
const NOT_FOR_SERVER = [
  ...[
    '--import',
    '-r',
    '--require',
    '--loader',
    '--experimental-loader',
    '--experimental-(default-)?config-file',
  ],
  ...['--cpu-prof.*', '--heap-prof.*', '--prof', '--trace-event.*', '--single-threaded'],
];

/** For a spawned child. */
export const UNWANTED = new RegExp(`^(${NOT_FOR_CHILDREN.join('|')})$`);
/** For the fork server. */
export const UNWANTED_BY_SERVER = new RegExp(`^(${[...NOT_FOR_CHILDREN, ...NOT_FOR_SERVER].join('|')})$`);

/** `options` without those that match. What does not begin with a dash is the value of the option before it. */
export function withoutOptions(options: readonly string[], unwanted: RegExp): string[] {
  let keep = true;
  return options.filter(option => {
    // Node takes _ for - in names.
    if (option.startsWith('-')) keep = !unwanted.test(option.split('=', 1)[0].replaceAll('_', '-'));
    return keep;
  });
}

/** The same for the text of NODE_OPTIONS. */
export function withoutNodeOptions(text: string, unwanted: RegExp): string {
  return withoutOptions(wordsOf(text), unwanted).map(quoted).join(' ');
}

/** Blanks part the words, but for those in double quotes, where a backslash stands before a character meant as itself. */
function wordsOf(text: string): string[] {
  return [...text.matchAll(/(?:"(?:\\.|[^"\\])*"?|[^ "])+/gs)].map(([word]) =>
    word.replace(/"((?:\\.|[^"\\])*)"?/gs, (_, inner: string) => inner.replace(/\\(.)/gs, '$1')),
  );
}

function quoted(word: string): string {
  return /[ "]/.test(word) ? `"${word.replace(/["\\]/g, '\\$&')}"` : word;
}

/**
 * Where the program was started: from there its options give relative paths, and the names of packages. As far as is known:
 * where it is when it loads this library.
 */
let folder = process.cwd();

export function startFolder(): string {
  return folder;
}

/** In a child: its program's. */
export function setStartFolder(given: string): void {
  folder = given;
}

/** It, if it is still there to start a Node in. */
export function placeToStart(): string {
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() ? folder : process.cwd();
}

/**
 * Starts a Node. `name`: of what it is for.
 * @throws {LifecycleError} It cannot be started.
 */
export function startNode(name: string, args: readonly string[], options: SpawnOptions): ChildProcess {
  // Loaded on first use: few threads start a Node.
  const { spawn } = require('node:child_process') as typeof import('node:child_process');
  let child: ChildProcess | undefined;
  let cause: unknown;
  try {
    child = spawn(process.execPath, args, options);
    // Node tells of most failures twice: no pid now, and this event later. The others it throws.
    child.on('error', () => {});
  } catch (error) {
    cause = error;
  }
  if (child?.pid !== undefined) return child;
  const why = cause instanceof Error ? ` (${cause.message})` : '';
  throw new LifecycleError(
    `Cannot start ${name} as ${process.execPath} could not be run in ${options.cwd ?? process.cwd()}${why}: see that both exist, that processes are not used up (ulimit -u), and that the environment is not too long`,
    { cause },
  );
}
