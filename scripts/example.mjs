/**
 * `npm run example TOPIC/NAME [ARGS…]`: runs a program of examples/, by `manyhands run` where it says so. Without a name it lists
 * them all. What runs is JavaScript made of it in dist/examples/, as threads would each have to load a compiler.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const examples = path.join(root, 'examples');
/** Of what is told of each in the list. */
const WIDTH = 100;
const compiled = path.join(root, 'dist/examples');
const names = readdirSync(examples, { recursive: true })
  .filter(name => name.endsWith('.mts'))
  .map(name => name.slice(0, -'.mts'.length))
  .sort();
const [wanted, ...args] = process.argv.slice(2);
const name = wanted?.replace(/^examples\/|\.mts$/g, '');

if (names.includes(name)) {
  if (!existsSync(path.join(root, 'dist/index.mjs'))) build();
  for (const name of names) await compile(name);
  run(name, args);
} else {
  if (wanted) console.error(`Cannot find the example ${wanted}. There are:`);
  for (const name of names) if (isProgram(name)) console.log(`  ${name.padEnd(28)}${firstSentence(name)}`);
  process.exitCode = wanted ? 2 : 0;
}

function build() {
  const { status } = spawnSync(process.execPath, [path.join(root, 'scripts/build.mjs')], {
    stdio: 'inherit',
  });
  if (status !== 0) process.exit(1);
}

async function compile(name) {
  const from = path.join(examples, `${name}.mts`);
  const to = path.join(compiled, `${name}.mjs`);
  if (existsSync(to) && statSync(to).mtimeMs > statSync(from).mtimeMs) return;
  const { default: ts } = await import('typescript');
  const { outputText } = ts.transpileModule(source(name), {
    fileName: from,
    compilerOptions: {
      ...{ target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 },
      ...{ rewriteRelativeImportExtensions: true, inlineSourceMap: true, inlineSources: true },
    },
  });
  mkdirSync(path.dirname(to), { recursive: true });
  writeFileSync(to, outputText);
}

function run(name, args) {
  const byRun = /\bmanyhands[\s*]+run\b/.test(source(name));
  const command = byRun ? [path.join(root, 'dist/cli/main.js'), 'run'] : ['--enable-source-maps'];
  const child = spawn(process.execPath, [...command, path.join(compiled, `${name}.mjs`), ...args], {
    stdio: 'inherit',
  });
  process.on('SIGINT', () => {}); // a Ctrl-C reaches the program too, which decides what becomes of it
  process.on('SIGTERM', () => child.kill());
  child.on('exit', (code, signal) => {
    process.removeAllListeners();
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
}

/** Whether it is one, and no part of others. */
function isProgram(name) {
  return /^\/\/ (Unordered o|O)utput/m.test(source(name));
}

function firstSentence(name) {
  const comment = /\/\*+([\s\S]*?)\*\//.exec(source(name))?.[1] ?? '';
  const [sentence] = comment
    .replace(/\s*\n \*\s?|\s+/g, ' ')
    .trim()
    .split(/(?<=\.)\s/);
  return sentence.length > WIDTH ? `${sentence.slice(0, WIDTH)}…` : sentence;
}

function source(name) {
  return readFileSync(path.join(examples, `${name}.mts`), 'utf8');
}
