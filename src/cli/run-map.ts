import { existsSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { inspect } from 'node:util';
import { cpuCount } from '../platform/resources.js';
import { Pool } from '../pool/pool.js';
import { Delivery } from './delivery.js';
import { Engine, type Runner } from './engine.js';
import { InputQueue } from './input-queue.js';
import { Inputs } from './inputs.js';
import { Interrupts } from './interrupts.js';
import { Journal } from './journal.js';
import type { ChunkReply, MapJob, TargetReport } from './map-task.js';
import { FileOutput, type Output, openOutput, StreamOutput, standardOutput } from './outputs.js';
import { Progress, type Standing } from './progress.js';
import { summary } from './summary.js';
import { UsageError } from './usage-error.js';

/** What the command line asks for. Absent means the default. */
export interface MapSettings {
  /** FILE or FILE#EXPORT. */
  readonly target: string;
  /** Inputs given as arguments. */
  readonly given?: readonly string[] | undefined;
  readonly input?: string | undefined;
  readonly json: boolean;
  readonly nul: boolean;
  readonly output?: string | undefined;
  readonly errors?: string | undefined;
  readonly raw: boolean;
  readonly unordered: boolean;
  readonly failFast: boolean;
  readonly jobs?: number | undefined;
  readonly threads: boolean;
  readonly chunksize?: number | undefined;
  readonly timeout?: number | undefined;
  readonly retries: number;
  readonly maxMemory?: number | undefined;
  readonly resume?: string | undefined;
  readonly progress: boolean;
  readonly quiet: boolean;
}

/** As a program that the closed pipe's signal ended. */
const STATUS_PIPE = 128 + 13;

const taskModule = pathToFileURL(resolve(__dirname, 'map-task.js')).href;

/**
 * Runs the map from reading inputs to the summary, and resolves with the exit status: 0, 1 (an input failed), 130, 141 or 143.
 * The workers have ended by then, unless the user could not wait.
 * @throws {UsageError} Nothing could be run, or not these inputs.
 */
export async function runMap(settings: MapSettings): Promise<number> {
  const started = performance.now();
  const job = jobOf(settings);
  refuseContradictions(settings);
  const interrupts = new Interrupts();
  const jobs = settings.jobs ?? cpuCount();
  const pool = new Pool({
    size: jobs,
    kind: settings.threads ? 'thread' : 'process',
    initializer: { module: taskModule, export: 'prepareWorker' },
    initargs: [job],
    ...(settings.maxMemory === undefined ? {} : { maxMemoryPerChild: settings.maxMemory }),
  });
  try {
    const ended = await Promise.race([
      mapThrough(pool, { settings, job, jobs, started, interrupts }),
      interrupts.now.then(() => undefined),
    ]);
    if (ended?.completely) {
      pool.close();
      await pool.join();
    } else await pool.terminate();
    return interrupts.status || (ended?.status ?? 0);
  } catch (error) {
    await pool.terminate();
    throw error;
  } finally {
    interrupts.dispose();
  }
}

interface Run {
  readonly settings: MapSettings;
  readonly job: MapJob;
  readonly jobs: number;
  readonly started: number;
  readonly interrupts: Interrupts;
}

/** `completely`: nothing is left running in the pool. */
async function mapThrough(pool: Pool, run: Run): Promise<{ status: number; completely: boolean }> {
  const { settings, job, jobs, started, interrupts } = run;
  await checkTarget(pool, settings.target, job);
  const inputs = await Inputs.open({ given: settings.given, file: settings.input, separator: job.separator });
  const ordered = !settings.unordered;
  const journal =
    settings.resume === undefined || settings.output === undefined
      ? undefined
      : await Journal.open(settings.resume, { ...job, ordered }, settings.output);
  const standard = standardOutput(2);
  const output = await outputOf(settings, journal);
  const errors = settings.errors === undefined ? standard : await openOutput(settings.errors);

  const queue = new InputQueue(job.separator, journal?.done);
  const last = journal?.done.at(-1);
  let broken: NodeJS.ErrnoException | undefined;
  let firstResult: number | undefined;
  const delivery = new Delivery({
    ordered,
    separator: job.separator,
    output,
    errors,
    journal,
    next: last ? last.first + last.count : 0,
    onBroken: error => {
      broken = error;
      engine.halt();
    },
    onFirst: () => {
      firstResult = performance.now() - started;
    },
  });
  const runner: Runner = {
    run: (args, options) =>
      pool.run({ module: taskModule, export: 'mapChunk' }, args, options) as Promise<ChunkReply>,
  };
  const engine = new Engine({ ...settings, job, jobs }, inputs, queue, runner, delivery);
  interrupts.onStop = () => engine.stopTaking();

  const standing = (): Standing => ({
    ...engine.totals,
    passed: queue.passed,
    totalCount: settings.given?.length,
    totalBytes: inputs.totalBytes,
  });
  const style = settings.quiet ? 'none' : standard.isTerminal ? 'bar' : settings.progress ? 'lines' : 'none';
  const progress = new Progress({ style, stream: process.stderr, standing });
  for (const each of [output, errors]) {
    if (each instanceof StreamOutput && each.isTerminal) each.beforeWrite = () => progress.hide();
  }
  progress.start();
  if (journal?.warning && !settings.quiet)
    await standard.write(Buffer.from(`manyhands: ${journal.warning}\n`));
  try {
    await engine.run();
    await delivery.finish();
    const completely = engine.completed;
    inputs.close();
    await journal?.close(completely && !interrupts.status);
    if (!journal) await output.close();
    if (errors !== standard) await errors.close();
    progress.stop();
    if (broken) return { status: statusOf(broken), completely: false };
    if (!settings.quiet) {
      const kind = settings.threads ? 'thread' : 'process';
      const text = summary({
        standing: standing(),
        wall: performance.now() - started,
        firstResult,
        jobs,
        kind,
      });
      await standard.write(Buffer.from(text));
    }
    return { status: engine.totals.failed > 0 ? 1 : 0, completely };
  } finally {
    inputs.close();
    progress.stop();
  }
}

/** A reader that went away is no news; anything else is. */
function statusOf(broken: NodeJS.ErrnoException): number {
  if (broken.code === 'EPIPE') return STATUS_PIPE;
  throw new Error(`Cannot write results: ${broken.message}`, { cause: broken });
}

async function outputOf(settings: MapSettings, journal: Journal | undefined): Promise<Output> {
  if (journal) return new FileOutput(journal.outputFd, journal.outputLength);
  return settings.output === undefined ? standardOutput(1) : openOutput(settings.output);
}

function jobOf(settings: MapSettings): MapJob {
  const { target, nul, json, raw, given } = settings;
  const { path, exportName } = splitTarget(target);
  if (!existsSync(path)) throw new UsageError(`Cannot find ${path}: name a JavaScript or TypeScript file`);
  if (!statSync(path).isFile())
    throw new UsageError(`Cannot load ${path} as it is no file: name a JavaScript or TypeScript file`);
  // Arguments cannot hold a NUL, so that it parts them whatever they say.
  const separator = nul || given ? 0 : 10;
  return { module: pathToFileURL(resolve(path)).href, exportName, separator, json, raw };
}

function splitTarget(target: string): { path: string; exportName: string } {
  const hash = target.lastIndexOf('#');
  if (hash <= 0 || existsSync(target)) return { path: target, exportName: 'default' };
  const exportName = target.slice(hash + 1);
  if (exportName === '')
    throw new UsageError(`Cannot tell which export of ${target} is meant: put its name behind the #`);
  return { path: target.slice(0, hash), exportName };
}

function refuseContradictions(settings: MapSettings): void {
  const { given, input, resume, output, errors, timeout, chunksize } = settings;
  if (given && input !== undefined) {
    throw new UsageError('Cannot take inputs both from arguments and from --input: leave one of them out');
  }
  if (timeout !== undefined && chunksize !== undefined && chunksize > 1) {
    throw new UsageError(
      'Cannot keep --timeout, which is for one input, with --chunksize above 1: leave one of them out',
    );
  }
  if (resume !== undefined && output === undefined) {
    throw new UsageError(
      'Cannot resume as results go to stdout, which nobody can read back: give --output FILE',
    );
  }
  const files = Object.entries({
    '--input': input,
    '--output': output,
    '--errors': errors,
    '--resume': resume,
  });
  const seen = new Map<string, string>();
  for (const [flag, file] of files) {
    if (file === undefined || (flag === '--input' && file === '-')) continue;
    const identity = identityOf(file);
    if (identity === undefined) continue;
    const other = seen.get(identity);
    if (other) throw new UsageError(`Cannot use ${file} for both ${other} and ${flag}: name two files`);
    seen.set(identity, flag);
  }
}

/** The same for two names of one file; undefined for what may well be used twice, as a terminal or /dev/null. */
function identityOf(file: string): string | undefined {
  if (!existsSync(file)) return resolve(file);
  const stat = statSync(file);
  return stat.isFile() ? `${stat.dev}:${stat.ino}` : undefined;
}

async function checkTarget(pool: Pool, target: string, job: MapJob): Promise<void> {
  let report: TargetReport;
  try {
    report = (await pool.run({ module: taskModule, export: 'inspectTarget' }, [job])) as TargetReport;
  } catch (error) {
    const shown = error instanceof Error && error.stack ? error.stack : inspect(error);
    throw new UsageError(`Cannot load ${target}: ${shown}`, { cause: error });
  }
  if (report.found === 'function') return;
  const named = job.exportName === 'default' ? 'default export' : `export "${job.exportName}"`;
  const state = report.found === 'missing' ? `it has no ${named}` : `its ${named} is no function`;
  const { path } = splitTarget(target);
  const [first] = report.functions;
  const way =
    first === undefined
      ? 'it exports no function at all'
      : `it exports the functions ${report.functions.join(', ')}: name one, as in ${path}#${first}`;
  throw new UsageError(`Cannot map with ${path} as ${state}; ${way}`);
}
