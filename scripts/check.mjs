/** `npm test`: builds, then runs every check, also after one has failed, and tells how each went. */
import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '..');
const require = createRequire(import.meta.url);
const biome = require.resolve('@biomejs/biome/bin/biome');

const BUILD = 'build and types';
/** Those of a stage run at the same time: most use one processor. */
const stages = [
  [
    [BUILD, 'scripts/build.mjs'],
    ['lint', biome, 'check', '--error-on-warnings'],
    ['layers', 'scripts/check-layers.mjs'],
  ],
  [
    ['Node 22 and 24', 'scripts/try-nodes.mjs'],
    ['documentation', 'scripts/docs.mjs'],
    [
      'types as programs see them',
      require.resolve('typescript/bin/tsc'),
      '-p',
      'scripts/tsconfig.users.json',
    ],
  ],
  [['tests', 'scripts/test.mjs']],
];

const results = [];
for (const stage of stages) {
  await Promise.all(stage.map(step => run(step, stage.length === 1)));
  if (results.includes(false)) break; // what would be tested is not there
}
console.log(`\n${results.filter(Boolean).join('\n')}`);

/** What several print at the same time is kept until each has ended. */
async function run([name, ...command], isAlone) {
  const began = performance.now();
  if (isAlone) console.log(`▶ ${name}`);
  const child = spawn(process.execPath, command, { cwd: root, stdio: ['ignore', ...outputs(isAlone)] });
  let printed = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', text => {
      printed += text;
    });
  }
  const status = await new Promise(resolve => child.on('close', resolve));
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (!isAlone) console.log(`▶ ${name}\n${printed}`);
  results.push(`${status === 0 ? '✔' : '✖'} ${name} (${seconds} s)`);
  if (status === 0) return;
  process.exitCode = 1;
  if (name === BUILD) results.push(false);
}

function outputs(isAlone) {
  return isAlone ? ['inherit', 'inherit'] : ['pipe', 'pipe'];
}
