import { Command, InvalidArgumentError, Option } from 'commander';
import { runMap } from './run-map.js';

const EXAMPLES = `
Results are lines of JSON on stdout, in the order of inputs; failures are lines of JSON on stderr:
{"input":…,"name":…,"message":…,"stack":…}. What the function prints goes to stderr.

Exit status: 0 all inputs succeeded, 1 some failed, 2 wrong usage, 130 ended by Ctrl-C, 141 the reader of
the results went away, 143 ended by SIGTERM. The first Ctrl-C lets running tasks end, a second does not.

Examples:
  manyhands map hash.ts a.txt b.txt                 the default export, over two arguments
  find . -name '*.md' | manyhands map words.ts#count  an export by name, over lines of stdin
  find . -print0 | manyhands map hash.ts -0         file names with anything in them
  manyhands map fit.ts --json --input points.jsonl  each line is a JSON value
  manyhands map crawl.ts --input urls.txt --output pages.jsonl --errors failed.jsonl --resume crawl.journal
                                                    what is done stays done, whatever happens
`;

interface MapFlags {
  readonly input?: string;
  readonly json?: true;
  readonly null?: true;
  readonly output?: string;
  readonly errors?: string;
  readonly raw?: true;
  readonly unordered?: true;
  readonly failFast?: true;
  readonly jobs?: number;
  readonly threads?: true;
  readonly chunksize?: number;
  readonly timeout?: number;
  readonly retries: number;
  readonly maxMemory?: number;
  readonly resume?: string;
  readonly progress?: true;
  readonly quiet?: true;
}

/** The command `manyhands map`. It calls `onEnd` with its exit status; wrong usage rejects with UsageError. */
export function mapCommand(onEnd: (status: number) => void): Command {
  return new Command('map')
    .summary('run an exported function over many inputs, in parallel')
    .description(
      'Run a function that FILE exports over many inputs, in parallel: GNU parallel for functions.\n' +
        'FILE is TypeScript or JavaScript; the function is its default export, or the one named behind #.\n' +
        'Inputs are the arguments, else the lines of --input or stdin.',
    )
    .usage('[options] FILE[#EXPORT] [INPUT…]')
    .argument('<FILE[#EXPORT]>', 'module, and the export to call with each input')
    .argument('[INPUT...]', 'inputs; behind -- if they begin with a dash')
    .optionsGroup('Inputs:')
    .option('-i, --input <file>', 'read inputs from a file (-: stdin); a newline, and nothing else, ends one')
    .option('--json', 'each input is a JSON value')
    .option('-0, --null', 'inputs end with NUL instead of newline')
    .optionsGroup('Results:')
    .option('-o, --output <file>', 'write results to a file instead of stdout')
    .option('-e, --errors <file>', 'write failures to a file instead of stderr')
    .option('--raw', 'write strings as they are; other values as JSON')
    .option('--unordered', 'write results as they come')
    .option('--fail-fast', 'stop at the first failure')
    .option(
      '--resume <journal>',
      'keep a journal in this file; go on where it ends if it exists (needs --output)',
    )
    .optionsGroup('Workers:')
    .option('-j, --jobs <n>', 'workers (default: one for each processor)', wholeFrom(1))
    .option('--threads', 'threads instead of processes')
    .option('--chunksize <n>', 'inputs a task (default: by their measured cost)', wholeFrom(1))
    .option(
      '--timeout <ms>',
      'milliseconds an input may take; its worker is replaced past them',
      milliseconds,
    )
    .addOption(
      new Option('--retries <n>', 'run an input again when its worker died')
        .argParser(wholeFrom(0))
        .default(0),
    )
    .option('--max-memory <bytes>', 'replace a worker that uses more after a task; 512M, 2G…', bytes)
    .optionsGroup('Other:')
    .option('--progress', 'tell how far it is once a second, where stderr is no terminal')
    .option('-q, --quiet', 'no progress bar, no summary')
    .addHelpText('after', EXAMPLES)
    .action(async (target: string, given: string[], flags: MapFlags) => {
      const { json, null: nul, raw, unordered, failFast, threads, progress, quiet, ...values } = flags;
      const status = await runMap({
        ...values,
        target,
        given: given.length > 0 ? given : undefined,
        json: json === true,
        nul: nul === true,
        raw: raw === true,
        unordered: unordered === true,
        failFast: failFast === true,
        threads: threads === true,
        progress: progress === true,
        quiet: quiet === true,
      });
      onEnd(status);
    });
}

function wholeFrom(least: number): (text: string) => number {
  return text => {
    const n = Number(text);
    if (!/^\d+$/.test(text) || n < least || !Number.isSafeInteger(n)) {
      throw new InvalidArgumentError(`Give a whole number, ${least} or more.`);
    }
    return n;
  };
}

function milliseconds(text: string): number {
  const n = Number(text);
  if (text.trim() === '' || !Number.isFinite(n) || n <= 0)
    throw new InvalidArgumentError('Give milliseconds, more than 0.');
  return n;
}

function bytes(text: string): number {
  const [, number, unit] = /^(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?$/i.exec(text) ?? [];
  if (number === undefined || Number(number) === 0) {
    throw new InvalidArgumentError('Give bytes, with K, M, G or T for powers of 1024.');
  }
  return Math.round(Number(number) * 1024 ** ' KMGT'.indexOf((unit || ' ').toUpperCase()));
}
