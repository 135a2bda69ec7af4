import { isMainThread } from 'node:worker_threads';
import { loadModule } from '../codec/functions/modules.js';
import { failureLine } from './failure-line.js';

/*
 * The worker's side of `manyhands map`. Inputs come and results go as bytes, many at a time, so that the command's own
 * process has little more to do than to move buffers: cutting, parsing and printing happen here, in parallel.
 */

/** What is the same for all chunks of one run. */
export interface MapJob {
  /** File URL of the user's module. */
  readonly module: string;
  readonly exportName: string;
  /** The byte after each input: newline or NUL. */
  readonly separator: 10 | 0;
  /** Inputs are JSON values rather than text. */
  readonly json: boolean;
  /** Strings are printed as they are rather than as JSON. */
  readonly raw: boolean;
}

/** When to give back what is left of a chunk: its inputs are dearer, or results larger, than expected; or enough failed. */
export interface ChunkLimits {
  readonly milliseconds: number;
  readonly bytes: number;
  readonly failures: number;
}

export interface ChunkFailure {
  /** Which input of the chunk. */
  readonly at: number;
  /** Where in `output` its result would stand. */
  readonly offset: number;
  /** JSON, without a newline. */
  readonly line: string;
}

export interface ChunkReply {
  /** Inputs dealt with, from the first on. */
  readonly count: number;
  /** The lines of those that succeeded. */
  readonly output: Uint8Array;
  readonly failures: readonly ChunkFailure[];
  /** Milliseconds this took: by the clock, and of processor time (0 in a thread, where nobody can tell). */
  readonly busy: number;
  readonly cpu: number;
}

/** What a module has to offer under a name. */
export interface TargetReport {
  readonly found: 'function' | 'other' | 'missing';
  /** The names of the functions it exports. */
  readonly functions: readonly string[];
}

/**
 * Runs once in each new worker: loads the module, so that no task's time limit has to pay for it, and keeps Ctrl-C,
 * which reaches every process of the terminal, from ending the worker: running tasks shall finish. A module that
 * cannot be loaded fails later, where somebody waits for the answer.
 */
export async function prepareWorker(job: MapJob): Promise<void> {
  settleIn();
  try {
    await loadModule(job.module);
  } catch {
    // The first task that needs it meets the same.
  }
}

/** Tells whether the job's export is a function. Rejects with what loading the module threw. */
export async function inspectTarget(job: MapJob): Promise<TargetReport> {
  settleIn();
  const names = exportsOf(await loadModule(job.module));
  const functions = [...names].filter(([, value]) => typeof value === 'function').map(([name]) => name);
  const found = names.has(job.exportName) ? typeof names.get(job.exportName) : 'missing';
  return { found: found === 'function' || found === 'missing' ? found : 'other', functions };
}

/**
 * Calls the job's function with each of `inputs` (bytes, with the separator between them), one after the other.
 * Stops early at one of the limits, though never before the first input is done.
 */
export async function mapChunk(job: MapJob, inputs: Uint8Array, limits: ChunkLimits): Promise<ChunkReply> {
  settleIn();
  const call = exportsOf(await loadModule(job.module)).get(job.exportName) as (input: unknown) => unknown;
  const cpuBefore = process.cpuUsage();
  const started = performance.now();
  const texts = textOf(inputs).split(String.fromCharCode(job.separator));
  const output = new LineBuffer();
  const failures: ChunkFailure[] = [];
  let count = 0;
  for (const text of texts) {
    let input: unknown = text;
    try {
      if (job.json) input = JSON.parse(text);
      let result = call(input);
      if (isThenable(result)) result = await result;
      output.add(lineOf(result, job.raw));
    } catch (thrown) {
      failures.push({ at: count, offset: output.cut(), line: failureLine(input, thrown) });
    }
    count++;
    if (performance.now() - started > limits.milliseconds) break;
    if (output.characters > limits.bytes || failures.length >= limits.failures) break;
  }
  const bytes = output.bytes();
  const { user, system } = process.cpuUsage(cpuBefore);
  const cpu = isMainThread ? (user + system) / 1000 : 0;
  return { count, output: bytes, failures, busy: performance.now() - started, cpu };
}

/** Collects lines as text, and knows the length in bytes where it was asked to. */
class LineBuffer {
  /** Characters so far, which is near enough to bytes to judge by. */
  characters = 0;
  #text = '';
  readonly #parts: Buffer[] = [];
  #length = 0;

  add(line: string): void {
    this.#text += `${line}\n`;
    this.characters += line.length + 1;
  }

  /** Bytes so far. */
  cut(): number {
    if (this.#text !== '') {
      const part = Buffer.from(this.#text, 'utf8');
      this.#parts.push(part);
      this.#length += part.length;
      this.#text = '';
    }
    return this.#length;
  }

  bytes(): Buffer {
    this.cut();
    return this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts, this.#length);
  }
}

function lineOf(result: unknown, raw: boolean): string {
  if (raw && typeof result === 'string') return result;
  if (result === undefined) return 'null';
  const line = JSON.stringify(result);
  if (line === undefined)
    throw new TypeError(`Cannot print a result as it is a ${typeof result}: return JSON`);
  return line;
}

/**
 * The exports of a module by name. CommonJS that was compiled from ES modules has its default export one level
 * deeper; a module that is no object (`module.exports = 1`) has none.
 */
function exportsOf(module: object): Map<string, unknown> {
  const names = new Map<string, unknown>(Object.entries(module));
  names.delete('module.exports');
  const inner = names.get('default');
  if (typeof inner === 'object' && inner !== null && '__esModule' in inner) {
    names.delete('default');
    for (const [name, value] of Object.entries(inner)) names.set(name, value);
  }
  names.delete('__esModule');
  return names;
}

let settled = false;

/** Once in each worker. */
function settleIn(): void {
  if (settled) return;
  settled = true;
  if (isMainThread) process.on('SIGINT', () => undefined);
  // The command's stdout carries results and nothing else: what the function prints goes to stderr.
  Object.defineProperty(process, 'stdout', { get: () => process.stderr, configurable: true });
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function';
}
