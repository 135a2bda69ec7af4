/** A fenced block of a Markdown document. */
export interface Block {
  /** What follows the fence: `ts`, `js`, `console`. */
  readonly language: string;
  /** The words after the language: `no-run`, `file=count.ts`. */
  readonly tags: readonly string[];
  readonly text: string;
  /** The line of its opening fence, from 1. */
  readonly line: number;
}

/** A command of a console block, and what it has to print; null if the document does not tell. */
export interface Command {
  readonly command: string;
  readonly expected: string | null;
}

/** The fenced blocks of a document, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = [];
  let open: { fence: string; language: string; tags: string[]; lines: string[]; line: number } | null = null;
  for (const [index, text] of markdown.split('\n').entries()) {
    if (open) {
      if (text.trim() === open.fence) {
        blocks.push({
          language: open.language,
          tags: open.tags,
          text: `${open.lines.join('\n')}\n`,
          line: open.line,
        });
        open = null;
      } else open.lines.push(text);
      continue;
    }
    const [, fence, info] = /^(`{3,})(.*)$/.exec(text) ?? [];
    if (fence === undefined || info === undefined) continue;
    const [language = '', ...tags] = info.trim().split(/\s+/);
    open = { fence, language, tags, lines: [], line: index + 1 };
  }
  if (open) throw new Error(`The block that begins at line ${open.line} has no end`);
  return blocks;
}

/** The doc comments of a program as one document, whose lines are where they stand there; all others are empty. */
export function docComments(source: string): string {
  let inside = false;
  return source
    .split('\n')
    .map(line => {
      const begins = /^\s*\/\*\*/.test(line);
      const ends = line.includes('*/');
      const text = inside && !ends ? line.replace(/^\s*\* ?/, '') : '';
      inside = (inside || begins) && !ends;
      return text;
    })
    .join('\n');
}

/** The commands of a console block: each line that begins with `$ `, with the lines up to the next as what it prints. */
export function commandsOf(block: Block): Command[] {
  const commands: { command: string; output: string[] }[] = [];
  for (const line of block.text.trimEnd().split('\n')) {
    if (line.startsWith('$ ')) commands.push({ command: line.slice(2), output: [] });
    else if (commands.at(-1)?.command.endsWith('\\'))
      (commands.at(-1) as { command: string }).command += `\n${line}`;
    else commands.at(-1)?.output.push(line);
  }
  return commands.map(({ command, output }) => ({
    command,
    expected: output.length > 0 ? `${output.join('\n')}\n` : null,
  }));
}

/** Whether `actual` is what a document shows: a line `…` there stands for any number of lines, a `…` in a line for any text. */
export function matches(actual: string, expected: string): boolean {
  const pattern = expected
    .trimEnd()
    .split('\n')
    .map(line =>
      line.trim() === '…'
        ? '(?:.*\n)*'
        : `${line
            .split('…')
            .map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
            .join('.*')}\n`,
    )
    .join('');
  return new RegExp(`^${pattern}$`).test(`${actual.trimEnd()}\n`);
}

/** Whether the text stands in a program, line by line, more or less indented: as code, or as what its comments say that it prints. */
export function isExcerpt(text: string, program: string): boolean {
  const lines = linesOf(text);
  return [program, program.replace(/^\/\/ ?/gm, '')].some(source => {
    const all = linesOf(source);
    return all.some((_, start) => {
      const indent = (all[start] ?? '').search(/\S|$/) - (lines[0] ?? '').search(/\S|$/);
      return (
        indent >= 0 &&
        lines.every((line, i) => (line === '' ? '' : ' '.repeat(indent) + line) === all[start + i])
      );
    });
  });
}

function linesOf(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map(line => line.trimEnd());
}
