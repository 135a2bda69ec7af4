import type { Token } from 'acorn';

/** A replacement in a text, or an insertion where `start` is `end`. */
export interface Edit {
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A zero-based place in a file. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

/** A line break after one of these words would end the statement, or change what the word means. */
const NO_BREAK_AFTER = /^(return|throw|break|continue|yield|async|await|get|set|static|accessor|let|using)$/;
const NO_BREAK_BEFORE = /^(=>|\+\+|--)$/;

/**
 * Line breaks and spaces that put compiled code back where it was written, so that positions in its stack traces are
 * those of the original file though nobody on the other side has its source map.
 *
 * `original` tells where the token at an offset was written, for those the map knows. Code that a compiler moved
 * upwards stays where it is.
 */
export function layOut(
  source: string,
  tokens: readonly Token[],
  start: Position,
  original: (offset: number) => Position | undefined,
): Edit[] {
  const edits: Edit[] = [];
  let { line, column } = start;
  let done = 0;
  let previous: Token | undefined;
  for (const token of tokens) {
    const passed = source.slice(done, token.start);
    const breaks = passed.split('\n').length - 1;
    line += breaks;
    column = breaks > 0 ? passed.length - passed.lastIndexOf('\n') - 1 : column + passed.length;
    done = token.start;
    const target = previous && !isTemplateText(previous, token) ? original(token.start) : undefined;
    if (target && target.line > line && mayBreak(source, previous, token)) {
      const text = '\n'.repeat(target.line - line) + ' '.repeat(target.column);
      edits.push({ start: token.start, end: token.start, text });
      ({ line, column } = target);
    } else if (target && target.line === line && target.column > column) {
      edits.push({ start: token.start, end: token.start, text: ' '.repeat(target.column - column) });
      column = target.column;
    }
    previous = token;
  }
  return edits;
}

/** Between these two, white space would be part of a template's text. */
function isTemplateText(previous: Token, token: Token): boolean {
  return previous.type.label === 'template' || token.type.label === 'template';
}

function mayBreak(source: string, previous: Token | undefined, token: Token): boolean {
  const before = previous ? source.slice(previous.start, previous.end) : '';
  return !NO_BREAK_AFTER.test(before) && !NO_BREAK_BEFORE.test(source.slice(token.start, token.end));
}
