/** From the rounds of a scenario to its figures, its ratios, and whether its targets are reached. */
import { median, spread } from './statistics.mjs';

/** Each contender's median over the rounds, and how many times better ours is than it. */
export function summarize(scenario, rounds) {
  const rows = scenario.contenders.map(contender => {
    const results = rounds.get(contender.name) ?? [];
    const good = results.filter(result => !result.error && !result.absent);
    const failed = results.find(result => result.error);
    const left = Math.max(0, ...results.map(result => result.left ?? 0));
    const row = { name: contender.name, role: contender.role, rounds: results, ...(left ? { left } : {}) };
    if (good.length === 0)
      return { ...row, error: failed?.error ?? results[0]?.absent ?? 'not measured', absent: !failed };
    const over = name => median(good.map(result => result[name]));
    return {
      ...row,
      ...(failed
        ? { failed: `in ${results.length - good.length} of ${results.length} rounds, ${failed.error}` }
        : {}),
      value: over('value'),
      best: bestOf(scenario, good),
      noise: good.length > 1 ? spread(good.map(result => result.value)) : undefined,
      columns: Object.fromEntries(
        scenario.columns.flatMap(name => (name in good[0] ? [[name, over(name)]] : [])),
      ),
    };
  });
  const own = rows.find(row => row.role === 'ours');
  for (const row of rows)
    if (row !== own && !row.error && own && !own.error) row.ratio = ratio(scenario, own, row);
  return { ...scenario, rows, targets: scenario.targets.map(target => judge(scenario, target, own, rows)) };
}

function bestOf({ better }, results) {
  const values = results.map(({ value }) => value);
  return better === 'lower' ? Math.min(...values) : Math.max(...values);
}

/** How many times better `own` is than `other`: above 1 it is the better one. */
function ratio(scenario, own, other) {
  return scenario.better === 'lower' ? other.value / own.value : own.value / other.value;
}

function judge(scenario, target, own, rows) {
  if (target.value !== undefined) {
    const words = `${scenario.better === 'lower' ? 'at most' : 'at least'} ${target.value} ${scenario.unit}`;
    if (!own || own.error) return { words };
    const reached = scenario.better === 'lower' ? own.value <= target.value : own.value >= target.value;
    return { words, is: own.value, reached };
  }
  const words =
    target.times === 1 ? `no slower than ${target.words}` : `${target.times}× better than ${target.words}`;
  const rivals = rows.filter(
    row => row.role === 'peer' && row.ratio !== undefined && target.than.test(row.name),
  );
  if (rivals.length === 0) return { words };
  const best = rivals.reduce((a, b) => (a.ratio < b.ratio ? a : b));
  return { words, is: best.ratio, rival: best.name, reached: best.ratio >= target.times };
}
