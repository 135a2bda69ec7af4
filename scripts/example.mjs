/**
 * `npm run example TOPIC/NAME [ARGS…]`: runs a program of examples/, in TypeScript as it is, by `manyhands run` where it says so.
 * Without a name it lists them all.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const root = path.resolve(import.meta.dirname, '..');
const examples = path.join(root, 'examples');
const [name, ...args] = process.argv.slice(2);
const file = name && path.join(examples, `${name.replace(/^examples\/|\.mts$/g, '')}.mts`);

if (file && existsSync(file)) run(file);
else {
  if (file) console.error(`Cannot find ${path.relative(root, file)}. There are:`);
  console.log(listed().join('\n'));
  process.exitCode = file ? 2 : 0;
}

function run(file) {
  if (!existsSync(path.join(root, 'dist/index.mjs'))) {
    const { status } = spawnSync(process.execPath, [path.join(root, 'scripts/build.mjs')], {
      stdio: 'inherit',
    });
    if (status !== 0) process.exit(1);
  }
  const typescript = `--import=${pathToFileURL(createRequire(import.meta.url).resolve('tsx'))}`;
  const forks = /\bmanyhands[\s*]+run\b/.test(readFileSync(file, 'utf8'));
  const command = forks ? [path.join(root, 'dist/cli/main.js'), 'run'] : [typescript];
  const options = forks ? `${process.env.NODE_OPTIONS ?? ''} ${typescript}` : process.env.NODE_OPTIONS;
  const child = spawn(process.execPath, [...command, file, ...args], {
    stdio: 'inherit',
    env: { ...process.env, ...(options && { NODE_OPTIONS: options }) },
  });
  process.on('SIGINT', () => {}); // a Ctrl-C reaches the program too, which decides what becomes of it
  process.on('SIGTERM', () => child.kill());
  child.on('exit', (code, signal) => {
    process.removeAllListeners();
    if (signal) process.kill(process.pid, signal);
    else process.exitCode = code;
  });
}

/** Every program that prints something, with the first sentence of its comment. */
function listed() {
  return readdirSync(examples, { recursive: true })
    .filter(name => name.endsWith('.mts'))
    .sort()
    .flatMap(name => {
      const source = readFileSync(path.join(examples, name), 'utf8');
      if (!/^\/\/ (Unordered o|O)utput/m.test(source)) return [];
      const comment = /\/\*+([\s\S]*?)\*\//.exec(source)?.[1] ?? '';
      const [sentence] = comment
        .replace(/\s*\n \*\s?|\s+/g, ' ')
        .trim()
        .split(/(?<=\.)\s/);
      return [`  ${name.replace(/\.mts$/, '').padEnd(28)}${sentence}`];
    });
}
