import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, statSync } from 'node:fs';
import { extname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import words, { type FileWords } from './words.js';

/*
 * What `npm start` shows: the function of words.ts over every Markdown and source file under node_modules, once by
 * `manyhands map` in processes, once by a plain loop in this process, and that both come to the same.
 */

const root = resolve(__dirname, '..');
const command = join(root, 'dist/cli/main.js');
const endings = new Set(['.md', '.js', '.mjs', '.cjs', '.ts', '.mts', '.cts']);
/** Grammars by the hundred, made by programs: minutes of work, and no prose. */
const GENERATED = /node_modules\/(@shikijs|typedoc|lunr|@gerrit0)\//;
const TOP = 10;
/** Bytes of a large file, and how many others come first: results shall not have to wait for large files. */
const LARGE = 500_000;
const FIRST = 32;

/** What a set of files comes to. */
class Totals {
  files = 0;
  bytes = 0;
  readonly counts = new Map<string, number>();
  readonly #hash = createHash('sha256');

  add({ path, bytes, sha256, words }: FileWords): void {
    this.files++;
    this.bytes += bytes;
    this.#hash.update(`${path}\0${bytes}\0${sha256}\0${JSON.stringify(words)}\n`);
    for (const word of Object.keys(words)) {
      this.counts.set(word, (this.counts.get(word) ?? 0) + (words[word] ?? 0));
    }
  }

  /** Stands for every path, hash and count, in the order they came. */
  fingerprint(): string {
    return this.#hash.digest('hex');
  }
}

interface Measured {
  readonly totals: Totals;
  readonly milliseconds: number;
}

async function inProcesses(paths: readonly string[]): Promise<Measured & { firstResult: number }> {
  const totals = new Totals();
  const started = performance.now();
  let firstResult = Number.NaN;
  const child = spawn(process.execPath, [command, 'map', join(__dirname, 'words.ts'), '--null'], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const ended = once(child, 'close');
  child.stdin.on('error', () => undefined); // its exit status tells more
  child.stdin.end(paths.map(path => `${path}\0`).join(''));
  for await (const line of createInterface({ input: child.stdout })) {
    if (totals.files === 0) firstResult = performance.now() - started;
    totals.add(JSON.parse(line));
  }
  const [status, signal] = await ended;
  if (status !== 0) fail(`manyhands map ended with ${signal ?? `status ${status}`}`);
  return { totals, milliseconds: performance.now() - started, firstResult };
}

function inSequence(paths: readonly string[]): Measured {
  const totals = new Totals();
  const started = performance.now();
  for (const path of paths) totals.add(words(path));
  return { totals, milliseconds: performance.now() - started };
}

/** Every text file under a folder. Large ones come early, so that none is left to one worker while the others have ended. */
function filesUnder(folder: string): string[] {
  const files = readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter(entry => entry.isFile() && endings.has(extname(entry.name)))
    .map(entry => join(entry.parentPath ?? entry.path, entry.name))
    .filter(file => !GENERATED.test(file))
    .sort();
  const large = files.filter(file => statSync(file).size > LARGE);
  const others = files.filter(file => !large.includes(file));
  return [...others.slice(0, FIRST), ...large, ...others.slice(FIRST)];
}

function fail(message: string): never {
  console.error(`npm start: ${message}`);
  process.exit(1);
}

function row(name: string, value: string): void {
  console.log(`  ${name.padEnd(28)}${value.padStart(14)}`);
}

const whole = (n: number): string => n.toLocaleString('en-US');
const seconds = (ms: number): string => `${(ms / 1000).toFixed(2)} s`;

async function main(): Promise<void> {
  const paths = filesUnder(join(root, 'node_modules'));
  console.log(`Counting the words of ${whole(paths.length)} files under node_modules, in processes…`);
  const many = await inProcesses(paths);
  console.log('… and again, one after the other in this process.\n');
  const one = inSequence(paths);

  const top = [...many.totals.counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).slice(0, TOP);
  for (const [word, times] of top) row(word, whole(times));
  console.log();
  row('files', whole(many.totals.files));
  row('bytes', whole(many.totals.bytes));
  row('different words', whole(many.totals.counts.size));
  console.log();
  row('manyhands map', seconds(many.milliseconds));
  row('one process', seconds(one.milliseconds));
  row('speed-up', `${(one.milliseconds / many.milliseconds).toFixed(2)} ×`);
  row('first result after', `${Math.round(many.firstResult)} ms`);

  if (many.totals.files !== paths.length)
    fail(`${paths.length} files went in, ${many.totals.files} results came out`);
  if (many.totals.fingerprint() !== one.totals.fingerprint()) fail('the two computations differ');
  console.log('\nBoth came to the same.');
}

void main();
