import assert from 'node:assert/strict';
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { type Block, blocksOf, commandsOf, docComments, isExcerpt, matches } from './testing/docs.js';
import { installed } from './testing/installed.js';
import { leavesNothing } from './testing/leaks.js';

/*
 * Runs what README.md, docs/ and the doc comments of src/ show, so that none of it can be wrong. CONTRIBUTING.md tells how blocks
 * are tagged. The programs run in folders that are ES module packages with manyhands installed, as a reader's would be: those of a
 * document, or of the doc comments of a folder, one after the other in one process, which keeps its fork server.
 * MANYHANDS_DOCS=apart gives each a process of its own. MANYHANDS_DOCUMENTS=docs/migration/ runs those alone of documents and
 * sources whose name contains that.
 */

leavesNothing();

const root = path.resolve(__dirname, '..');
const LIMIT = 60_000;

/** Those that a program may come from: docs/migration/ shows programs before and after. */
const others = ['piscina', 'tinypool', 'workerpool'];
const { folder: workplace, env } = installed({ others });

/** The programs as they run, those in TypeScript compiled. */
const compiled = path.join(workplace, 'compiled');

/** Programs that have to be the first in their process: they settle something for all of it, or count from 1. */
const ALONE = /\bset(StartMethod|ForkserverPreload)\(|'Process-1'/;

/** Imports the programs it is given, in order. Says so of each, that a failure has a place. */
const inTurn = path.join(workplace, 'in-turn.mjs');
writeFileSync(
  inTurn,
  `process.exitCode = 1; // one that ends early takes the others with it
   for (const program of process.argv.slice(2)) {
     console.error('>', program);
     await import(program);
   }
   process.exitCode = 0;`,
);

const isWanted = (name: string) => name.includes(process.env.MANYHANDS_DOCUMENTS ?? '');
const documents = ['README.md', ...listed('docs', '.md')].filter(isWanted);
const sources = listed('src', '.ts')
  .filter(name => !/\.test\.|\/(fixtures|testing)\//.test(name))
  .filter(isWanted);
/** Programs in Python, and those that start one, run where there is one. */
const skip =
  spawnSync('python3', ['-c', 'import multiprocessing.shared_memory']).status !== 0 && 'there is no python3';

const programs: string[] = [];
let typed: string | undefined;

test('the programs of the documents have no type errors', () => {
  const config = path.join(workplace, 'tsconfig.json');
  const { strict, target, lib, module, moduleResolution, types, skipLibCheck } = JSON.parse(
    readFileSync(path.join(root, 'tsconfig.json'), 'utf8'),
  ).compilerOptions;
  const compilerOptions = {
    ...{ strict, target, lib, module, moduleResolution, types, skipLibCheck },
    ...{ allowJs: true, rewriteRelativeImportExtensions: true, rootDir: workplace, outDir: compiled },
    typeRoots: [path.join(root, 'node_modules', '@types')],
  };
  writeFileSync(config, JSON.stringify({ compilerOptions, files: programs }));
  succeeded(run([require.resolve('typescript/bin/tsc'), '-p', config], root));
});

for (const name of documents) testPrograms(name, testBlocks(name, read(name)));

const commented = new Map<string, string[]>();
for (const name of sources) {
  const files = testBlocks(name, docComments(read(name)));
  const folder = path.dirname(name);
  commented.set(folder, [...(commented.get(folder) ?? []), ...files]);
}
for (const [folder, files] of commented) testPrograms(`the doc comments of ${folder}`, files);

test('a program in TypeScript runs as it is', { skip: typed === undefined && 'there is none' }, () => {
  assert.ok(typed);
  const tsx = pathToFileURL(require.resolve('tsx')).href;
  succeeded(run(['--import', tsx, typed], path.dirname(typed)));
});

/** Tests the blocks of a document. Returns its programs that are to run together. */
function testBlocks(name: string, markdown: string): string[] {
  const folder = path.join(workplace, name.replace(/\W/g, '-'));
  const together: string[] = [];
  for (const block of blocksOf(markdown)) {
    mkdirSync(folder, { recursive: true });
    const title = `${name}:${block.line}`;
    const source = tagOf(block, 'from');
    if (source !== undefined) {
      test(`${title} stands in ${source}`, () => assert.ok(isExcerpt(block.text, read(source)), block.text));
    } else if (block.language === 'console' || block.language === 'sh') {
      if (block.tags.includes('no-run')) continue;
      if (block.language === 'sh') test(`${title} runs`, () => void runShell(block.text, folder));
      else test(`${title} prints what it says`, () => runConsole(block, folder));
    } else if (/^(js|ts|py)$/.test(block.language)) {
      const file = path.join(folder, fileOf(block));
      writeFileSync(file, block.text);
      const isPython = block.language === 'py';
      if (!isPython) programs.push(file);
      if (block.language === 'ts') typed ??= file;
      if (block.tags.includes('no-run') || tagOf(block, 'file') !== undefined) continue;
      if (isPython) {
        test(`${title} runs`, { skip }, () => void runShell(`python3 ${file}`, folder));
        continue;
      }
      if (skip && block.text.includes("'python3'")) continue;
      if (ALONE.test(block.text) || process.env.MANYHANDS_DOCS === 'apart')
        test(`${title} runs`, () => runPrograms([file], folder));
      else together.push(file);
    }
  }
  return together;
}

function testPrograms(of: string, files: readonly string[]): void {
  const [first] = files;
  if (first !== undefined) test(`the programs of ${of} run`, () => runPrograms(files, path.dirname(first)));
}

/** The name a block is kept under: its own, or one that makes it an ES module or a Python program. */
function fileOf(block: Block): string {
  const { language, line } = block;
  return tagOf(block, 'file') ?? (language === 'py' ? `line-${line}.py` : `line-${line}.m${language}`);
}

/** What stands after `name=` among the block's tags. */
function tagOf(block: Block, name: string): string | undefined {
  return block.tags.find(tag => tag.startsWith(`${name}=`))?.slice(name.length + 1);
}

function runPrograms(files: readonly string[], cwd: string): void {
  const runnable = files.map(file =>
    path.join(compiled, path.relative(workplace, file)).replace(/\.mts$/, '.mjs'),
  );
  succeeded(run([inTurn, ...runnable], cwd));
}

function runConsole(block: Block, folder: string): void {
  for (const { command, expected } of commandsOf(block)) {
    const printed = runShell(command, folder);
    if (expected === null) continue;
    assert.ok(matches(printed, expected), `${command}\nprinted:\n${printed}\nnot:\n${expected}`);
  }
}

/** Runs a script, in which every command has to succeed. Returns what it printed. */
function runShell(script: string, cwd: string): string {
  const result = spawnSync('sh', ['-ec', script], { cwd, encoding: 'utf8', timeout: LIMIT, env });
  succeeded(result);
  return result.stdout;
}

function run(args: string[], cwd: string): SpawnSyncReturns<string> {
  return spawnSync(process.execPath, args, { cwd, encoding: 'utf8', timeout: LIMIT });
}

function succeeded({ status, signal, stdout, stderr }: SpawnSyncReturns<string>): void {
  assert.equal(status, 0, `ended with ${status ?? signal}:\n${stdout}${stderr}`);
}

function read(name: string): string {
  return readFileSync(path.join(root, name), 'utf8');
}

/** The files in a folder and in those within, by their names from the root. */
function listed(folder: string, extension: string): string[] {
  return readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter(name => name.endsWith(extension))
    .map(name => path.join(folder, name))
    .sort();
}
