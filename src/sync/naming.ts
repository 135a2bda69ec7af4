import { Cell } from './cell.js';

export interface NamedOptions {
  /** Found by this name from unrelated processes of the same user. */
  name?: string;
}

/** The cell for a new object of so many bytes, or the one of that name. */
export function openCell(
  kind: string,
  options: NamedOptions,
  {
    bytes,
    namedBytes = bytes,
    fill = () => {},
  }: { bytes: number; namedBytes?: number; fill?: (words: Int32Array, at: number, bytes: number) => void },
): Cell {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(
      `Cannot make a ${kind} with ${String(options)} as options: give an object, as { name }`,
    );
  if (options.name !== undefined) throw new TypeError(`not yet ${namedBytes}`);
  const cell = Cell.make(bytes);
  fill(cell.words, cell.at, bytes);
  return cell;
}

/** What an object is called in messages. */
export function nameOf(cell: Cell, object: object): string {
  const kind = object.constructor.name;
  return cell.shared ? `${kind} "${cell.shared.name}"` : `${kind} ${cell.blocks[0]}`;
}
