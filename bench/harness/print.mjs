/** Results as a person reads them. */

export function printMachine({ date, commit, node, python, cpu, cores, kernel, load }, versions) {
  const peers = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  console.log(`${cores} × ${cpu}, Linux ${kernel}, load ${load.toFixed(2)} before the run, ${date}`);
  console.log(`manyhands ${commit ?? 'of no commit'}, Node ${node}, CPython ${python ?? 'not found'}`);
  console.log(peers.length > 0 ? wrap(peers.join(', ')) : 'no peers');
}

/** `scenario` is what summarize() returns. */
export function printScenario({ title, unit, columns, rows, targets, note }) {
  const shown = columns.filter(name => rows.some(row => row.columns?.[name] !== undefined));
  const head = ['', unit, 'noise', 'best', ...shown, 'ours is'];
  const lines = rows.map(row =>
    row.error
      ? [label(row), '-', '', '', ...shown.map(() => ''), '']
      : [
          label(row),
          figure(row.value),
          row.noise === undefined ? '' : `±${Math.round(row.noise * 100)} %`,
          row.noise === undefined ? '' : figure(row.best),
          ...shown.map(name => (row.columns[name] === undefined ? '' : figure(row.columns[name]))),
          row.ratio === undefined ? '' : `${figure(row.ratio)}×`,
        ],
  );
  console.log(`\n${title}`);
  console.log(align([head, ...lines]));
  for (const row of rows) {
    if (row.error) console.log(`  ${row.absent ? '–' : '!'} ${row.name}: ${firstLine(row.error)}`);
    if (row.failed) console.log(`  ! ${row.name} failed ${firstLine(row.failed)}`);
    if (row.left) console.log(`  ! ${row.name} left ${row.left} processes behind`);
  }
  for (const { words, is, rival, reached } of targets) {
    const mark = is === undefined ? '?' : reached ? '✓' : '✗';
    const what =
      is === undefined ? 'not measured' : rival ? `${figure(is)}× (${rival})` : `${figure(is)} ${unit}`;
    console.log(`  ${mark} ${words}: ${what}`);
  }
  if (note) for (const line of note.split('\n')) console.log(`  ${line}`);
}

/** What grows, and what must not. */
export function printSamples(samples) {
  const names = Object.keys(samples[0]);
  console.log(align([names, ...samples.map(sample => names.map(name => figure(sample[name])))]));
}

export function printSum(scenarios) {
  const judged = scenarios.flatMap(({ title, targets }) => targets.map(target => ({ title, ...target })));
  const missed = judged.filter(({ reached }) => reached === false);
  const unknown = judged.filter(({ reached }) => reached === undefined);
  const reached = judged.length - missed.length - unknown.length;
  console.log(
    `\n${reached} of ${judged.length} targets reached, ${missed.length} missed, ${unknown.length} not measured`,
  );
  for (const { title, words, is, rival } of missed)
    console.log(`  ✗ ${title}: ${words}, is ${figure(is)}${rival ? '×' : ''}`);
}

const label = ({ role, name }) => (role === 'floor' ? `(${name})` : name);
const firstLine = text => text.split('\n')[0];

function figure(value) {
  if (Number.isInteger(value)) return value.toLocaleString('en');
  return value >= 1_000 ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}

function align(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map(line => line[column].length)));
  return table
    .map(line =>
      line.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  '),
    )
    .map(line => `  ${line.trimEnd()}`)
    .join('\n');
}

function wrap(text, width = 110) {
  return text.replace(new RegExp(`(.{1,${width}})(?: |$)`, 'g'), '$1\n').trimEnd();
}
