/**
 * Measures manyhands beside its peers, in one run, and prints what it finds; docs/benchmarks.md says how to read it.
 *
 *   node bench/run.mjs [--only REGEX] [--rounds N] [--quick] [--soak] [--json FILE]
 *
 * Takes the library from dist/, or from the folder that MANYHANDS_DIST names.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { isPython, measure } from './harness/contender.mjs';
import { machine, newestPython, peerVersions } from './harness/machine.mjs';
import { printMachine, printSamples, printScenario, printSum } from './harness/print.mjs';
import { summarize } from './harness/summary.mjs';
import { scenarios, soak } from './scenarios.mjs';

const folder = import.meta.dirname;
const { values: given } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    soak: { type: 'boolean', default: false },
    json: { type: 'string', default: path.join(folder, 'results/latest.json') },
  },
});
const only = new RegExp(given.only ?? '');
const rounds = Number(given.rounds ?? (given.quick ? 1 : 3));
if (!(Number.isInteger(rounds) && rounds > 0))
  throw new RangeError('Cannot use that as --rounds: give 1 or more');

installPeers();
const python = newestPython();
const versions = peerVersions();
const about = machine(python);
printMachine(about, versions);
if (about.busy) console.log('The machine is busy: take these figures for ratios at best.');

const results = [];
for (const scenario of given.soak ? [soak] : scenarios.map(chosen).filter(hasContenders)) {
  const result = summarize(scenario, await interleave(scenario));
  printScenario(result);
  for (const { samples } of result.rows.flatMap(row => row.rounds)) if (samples) printSamples(samples);
  results.push(result);
}
printSum(results);
mkdirSync(path.dirname(path.resolve(given.json)), { recursive: true });
writeFileSync(given.json, `${JSON.stringify({ ...about, versions, rounds, results }, null, 2)}\n`);
const hasFailed = row => row.role === 'ours' && ((row.error && !row.absent) || row.failed);
if (results.some(({ rows }) => rows.some(hasFailed))) process.exitCode = 1;

/** The scenario with the contenders that were asked for and can run here; ours stays, as all are compared with it. */
function chosen(scenario) {
  const { id, contenders, options } = scenario;
  const here = contenders.filter(contender =>
    isPython(contender)
      ? python
      : ['manyhands', 'node'].includes(contender.module) || contender.module in versions,
  );
  const asked = here.filter(({ name }) => only.test(`${id}/${name}`));
  return {
    ...scenario,
    options: given.quick && options.ms ? { ...options, ms: options.ms / 4 } : options,
    contenders: here.filter(contender => asked.includes(contender)),
  };
}

function hasContenders({ contenders }) {
  return contenders.length > 0;
}

/**
 * One after the other, A B C A B C …, so that what else goes on in the machine meets all alike. `rounds` of a scenario: no
 * more than these; `perRound`: so many for one, where a contender's process can take a single figure only.
 */
async function interleave(scenario) {
  const found = new Map(scenario.contenders.map(({ name }) => [name, []]));
  const turns = Math.min(rounds, scenario.rounds ?? rounds) * (scenario.perRound ?? 1);
  for (let round = 1; round <= turns; round++) {
    for (const contender of scenario.contenders) {
      tell(`${scenario.id}: round ${round}, ${contender.name}`);
      const execArgv = scenario === soak ? ['--expose-gc'] : [];
      found
        .get(contender.name)
        .push(await measure(scenario, contender, { python: python?.executable, execArgv }));
    }
  }
  tell('');
  return found;
}

function tell(progress) {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${progress}`);
}

/** The peers are no dependencies of the package: whoever measures has them installed, here, once, and again when they change. */
function installPeers() {
  const { dependencies } = JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8'));
  const installed = peerVersions();
  if (Object.entries(dependencies).every(([name, version]) => installed[name] === version)) return;
  console.log('Installing the peers into bench/node_modules …');
  try {
    execFileSync('npm', ['ci', '--prefix', folder, '--ignore-scripts', '--no-audit', '--no-fund'], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
  } catch {
    console.log(
      'They could not be installed: going on without them, so ratios to the best pool are not of all.',
    );
  }
}
