/** What a program of examples/ says, in the comments at its end, that it prints when it is run with `args`. */
export interface Run {
  readonly args: readonly string[];
  readonly output: readonly Group[];
  readonly errors: readonly Group[];
}

/** Lines that come one after the other, or in any order. */
export interface Group {
  readonly ordered: boolean;
  readonly lines: readonly string[];
}

type Names = ReadonlyMap<string, string>;

/** `// Output:`, `// Unordered output of --quick:`, `// Errors:`, each with the comment lines below it. */
const HEADING = /^\/\/ (?:(Unordered) )?(output|errors)(?: of (.+))?:$/i;

/** The runs that an example tells of; none if it is only a part of others. */
export function runsOf(source: string): Run[] {
  const runs = new Map<string, { args: string[]; output: Group[]; errors: Group[] }>();
  let lines: string[] | null = null;
  for (const line of source.split('\n')) {
    const [heading, unordered, stream, words = ''] = HEADING.exec(line) ?? [];
    if (heading !== undefined) {
      const run = runs.get(words) ?? { args: words.split(' ').filter(Boolean), output: [], errors: [] };
      runs.set(words, run);
      lines = [];
      run[stream?.toLowerCase() as 'output' | 'errors'].push({ ordered: !unordered, lines });
    } else if (line.startsWith('//')) lines?.push(line.slice('// '.length));
    else lines = null;
  }
  return [...runs.values()];
}

/** Does it say that it is started by `manyhands run`? */
export function startsByRun(source: string): boolean {
  return /\bmanyhands[\s*]+run\b/.test(source);
}

/**
 * Whether that is printed. In a line `…` is any text, and `<name>` a word that is the same wherever the name stands; a line that
 * is only `…` is any number of lines.
 */
export function prints(printed: string, groups: readonly Group[]): boolean {
  const lines = printed === '' ? [] : printed.replace(/\n$/, '').split('\n');
  return agree(lines, groups, new Map());
}

function agree(lines: readonly string[], [group, ...later]: readonly Group[], names: Names): boolean {
  if (!group) return lines.length === 0;
  const [line, ...rest] = lines;
  if (group.lines.length === 0) return agree(lines, later, names);
  return group.lines.some((pattern, index) => {
    if (index > 0 && (group.ordered || group.lines.indexOf(pattern) < index)) return false;
    const others = { ...group, lines: group.lines.toSpliced(index, 1) };
    if (pattern === '…' && agree(lines, [others, ...later], names)) return true;
    if (line === undefined) return false;
    if (pattern === '…') return agree(rest, [group, ...later], names);
    const known = read(line, pattern, names);
    return known !== null && agree(rest, [others, ...later], known);
  });
}

/** The names, with those that the line tells; null if it does not look like the pattern. */
function read(line: string, pattern: string, names: Names): Names | null {
  const seen = new Set<string>();
  const parts = pattern.split(/(…|<\w+>)/).map(part => {
    if (part === '…') return '.*';
    const [, name] = /^<(\w+)>$/.exec(part) ?? [];
    if (name === undefined) return literal(part);
    const known = names.get(name);
    if (known !== undefined) return literal(known);
    if (seen.has(name)) return `\\k<${name}>`;
    seen.add(name);
    return `(?<${name}>\\S+?)`;
  });
  const found = new RegExp(`^${parts.join('')}$`).exec(line);
  return found && new Map([...names, ...Object.entries(found.groups ?? {})]);
}

function literal(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
