/** Figures as the documents show them. */

/** Where a row stands in docs/comparison.md, by its id. */
const GROUPS = [
  ['Processes and threads', /^(start|fork$|alive|memory)/],
  ['Pools: one task', /^(trip-(process|thread)|megabyte|cold)/],
  ['Pools: many tasks', /^(rate|items|map)/],
  ['Locks and numbers', /^(lock|semaphore|value|trip-(event|condition))/],
  ['Queues and pipes', /^(queue|pipe)/],
  ['Maps and managers', /^(dict|proxy)/],
];

/** What README.md shows: the row, what it says, and who speaks for this library if not the first of its contenders. */
const TELLING = [
  ['start', 'start a process, run an empty function, join it'],
  ['memory', 'memory of an idle child, of eight alive (proportional)'],
  ['trip-process-1', 'pool of processes: a task there and back, on one core'],
  ['rate-process', 'pool of 2 processes: tasks a second, 1,024 under way'],
  ['rate-thread', 'pool of 2 threads: the same'],
  ['map-process-100000', '`pool.map` of 100,000 numbers, items a second'],
  ['megabyte-process', '1 MiB to a process and back, copied'],
  ['queue-small-sync', 'queue between two processes: numbers, one at a time, blocking'],
  ['queue-small-async', 'the same, async'],
  ['queue-64k', 'queue: 64 KiB an item'],
  ['pipe-pingpong-sync', 'pipe: a number there and back, on one core, blocking'],
  ['pipe-pingpong-async', 'the same, async'],
  ['lock-free', 'lock and unlock, nobody else wanting it'],
  ['lock-contended', 'the same, two processes at once'],
  ['value-locked', 'a shared number += 1 under its lock'],
  ['value-add', 'the same in one atomic step, `add(1)`'],
  ['dict-get', '`get` of a shared map'],
  ['dict-set', '`set` of a shared map'],
  ['proxy-rate', 'calls of an object in a manager'],
];

const isPython = ({ name }) => name.startsWith('CPython');

/** What is kept of a run: a figure for each contender, not those of every round. */
export function condense({ results, ...about }) {
  const { date, commit, node, python, cpu, cores, kernel, versions, rounds } = about;
  const rows = results.map(({ id, title, unit, better, note, rows }) => ({
    ...{ id, title, unit, better, note },
    contenders: rows.map(({ name, role, value, noise, columns = {}, ratio, error, absent, failed }) => ({
      ...{ name, role, value: short(value), noise: short(noise), ratio: short(ratio) },
      columns: Object.fromEntries(Object.entries(columns).map(([name, value]) => [name, short(value)])),
      ...(absent ? { absent: error } : { failed: error ?? failed }),
    })),
  }));
  return { date, commit, node, python, cpu, cores, kernel, versions, rounds, rows };
}

export function readme(figures) {
  const head = ['what', 'manyhands', 'best in Node', 'CPython'];
  const lines = TELLING.map(([id, words]) => {
    const { unit, contenders } = figures.rows.find(row => row.id === id);
    const peers = contenders.filter(({ role, ratio }) => role === 'peer' && ratio !== undefined);
    const rival = of => {
      const best = peers.filter(of).sort((a, b) => a.ratio - b.ratio)[0];
      if (!best) return '–';
      const [name] = best.name.replace(/^CPython /, '').split(',');
      const who = /^(?!CPython)\w/.test(name) ? `\`${name}\` ` : '';
      return `${who}${quantity(best.value, unit)}: **${times(best.ratio)}**`;
    };
    const [own] = contenders;
    return [words, quantity(own.value, unit), rival(peer => !isPython(peer)), rival(isPython)];
  });
  return `${table([head, ...lines], [1])}\n\n${where(figures)}\n`;
}

export function tables(figures) {
  const rest = figures.rows.filter(({ id }) => GROUPS.filter(([, ids]) => ids.test(id)).length !== 1);
  if (rest.length > 0) throw new Error(`Cannot tell where these rows belong: ${rest.map(({ id }) => id)}`);
  const groups = GROUPS.map(([heading, ids]) => {
    const rows = figures.rows.filter(({ id }) => ids.test(id)).map(section);
    return `## ${heading}\n\n${rows.join('\n\n')}`;
  });
  return `${where(figures)}\n\n${groups.join('\n\n')}\n`;
}

function section({ id, title, unit, better, note, contenders }) {
  const direction = better === 'lower' ? 'less is better' : 'more is better';
  const more = [...new Set(contenders.flatMap(({ columns }) => Object.keys(columns)))];
  const head = ['', unit, 'noise', ...more, 'ours is'];
  const lines = contenders.map(({ name, role, value, noise, columns, ratio, absent }) => [
    role === 'ours' ? `**${code(name)}**` : role === 'floor' ? `(${code(name)})` : code(name),
    value === undefined ? (absent ? '–' : 'failed') : figure(value),
    noise === undefined ? '' : `±${Math.round(noise * 100)} %`,
    ...more.map(name => (columns[name] === undefined ? '' : figure(columns[name]))),
    ratio === undefined ? '' : times(ratio),
  ]);
  const reasons = contenders
    .filter(({ absent, failed }) => absent ?? failed)
    .map(({ name, absent, failed }) => `${name}: ${(absent ?? failed).split('\n')[0]}`);
  const notes = [note?.replaceAll('\n', ' '), ...reasons].filter(Boolean).map(text => `\n\n${text}`);
  const all = head.map((_, column) => column);
  return `### ${title}\n\n\`${id}\`, ${unit}, ${direction}\n\n${table([head, ...lines], all.slice(1))}${notes.join('')}`;
}

/** The machine, the versions, the day: figures without them tell nothing. */
function where({ date, commit, node, python, cpu, cores, kernel, versions, rounds }) {
  const peers = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const [release] = kernel.split('-');
  return wrap(
    `Measured on ${date.slice(0, 10)} at commit ${commit}: ${cores} cores of an ${cpu}, Linux ${release}, Node ${node.slice(1)}, ` +
      `CPython ${python}; ${peers.join(', ')}. Medians of ${rounds} rounds.`,
  );
}

const SMALLER = { 'k/s': ['M/s', 1_000], ns: ['µs', 1_000], µs: ['ms', 1_000] };

function quantity(value, unit) {
  const [larger, factor] = SMALLER[unit] ?? [];
  return value >= 1_000 && larger ? quantity(value / factor, larger) : `${figure(value)} ${unit}`;
}

function figure(value) {
  if (value >= 100) return Math.round(value).toLocaleString('en');
  return Number(value.toPrecision(value < 1 ? 2 : 3)).toString();
}

function times(ratio) {
  return `${ratio >= 10 ? Math.round(ratio) : ratio.toPrecision(2)}×`;
}

/** Names of functions and packages, but not what explains them. */
function code(name) {
  return name.replace(/^[\w.]+\.[\w.]+|^[a-z]+(-[a-z]+)*$/, '`$&`');
}

function wrap(text) {
  return text.replace(/(.{1,120})(?: |$)/g, '$1\n').trimEnd();
}

function short(number) {
  return number === undefined ? undefined : Number(number.toPrecision(4));
}

function table(lines, right) {
  const widths = lines[0].map((_, i) => Math.max(3, ...lines.map(line => line[i].length)));
  const rule = widths.map((width, i) =>
    right.includes(i) ? `${'-'.repeat(width - 1)}:` : '-'.repeat(width),
  );
  return [lines[0], rule, ...lines.slice(1)]
    .map(
      line =>
        `| ${line.map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join(' | ')} |`,
    )
    .join('\n');
}
