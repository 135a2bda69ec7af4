import { Cell } from './cell.js';
import type { Home } from './home.js';

export interface NamedOptions {
  /** Found by this name from unrelated processes of the same user. */
  name?: string;
}

/** Memory that unrelated programs share by a name. */
export interface Opened {
  readonly home: Home;
  /** Index of the first of its words. */
  readonly at: number;
  close(): void;
}

/**
 * The cell for a new object, or the one of that name. `fill` sets its first values, before anyone else can see them. A named
 * one begins with a word that is not 0, so what it keeps begins at `at + NAMED_WORDS`.
 */
export function openCell(
  _kind: string,
  _options: NamedOptions,
  bytes: number,
  fill: (words: Int32Array, at: number) => void = () => {},
): Cell {
  const cell = Cell.make(bytes);
  fill(cell.words, cell.at);
  return cell;
}

/** What an object is called in messages. */
export function nameOf(cell: Cell, object: object): string {
  const kind = object.constructor.name;
  return cell.shared ? `${kind} "${cell.shared.name}"` : `${kind} ${cell.blocks[0]}`;
}
