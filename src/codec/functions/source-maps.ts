import { findSourceMap } from 'node:module';
import type { Script } from './inspect';
import type { Position } from './layout';
import type { ModuleSyntax } from './module-syntax';
import { commonJsFile } from './modules';

/**
 * Where the parts of a script were written, if this process uses source maps and has one for it (as under tsx):
 * a function from offsets in its text. With `exact`, only offsets at which the map has an entry have a position.
 */
export function originalPositions(
  script: Script,
  syntax: ModuleSyntax,
): ((offset: number, exact: boolean) => Position | undefined) | undefined {
  // A rebuilt function's script has the URL of another, and stands somewhere within.
  if (script.startLine !== 0 || script.startColumn !== 0) return undefined;
  const map = findSourceMap(script.url) ?? findSourceMap(commonJsFile(script.url) ?? script.url);
  if (!map) return undefined;
  return (offset, exact) => {
    const { line, column } = syntax.position(offset);
    const entry = map.findEntry(line, column);
    if (!('originalLine' in entry)) return undefined;
    if (exact && (entry.generatedLine !== line || entry.generatedColumn !== column)) return undefined;
    return { line: entry.originalLine, column: entry.originalColumn };
  };
}
