import { Cell, NAMED_HEAD } from './cell.js';
import { openNamed } from './named.js';

/** By which name unrelated programs find the same object. */
export interface NamedOptions {
  /**
   * Found by this name from unrelated processes of the same user: whoever is first makes it, the others get that one. It is gone with the
   * last program that has it open.
   */
  name?: string;
}

/** What an object needs. */
export interface Needs {
  readonly bytes: number;
  /** If it is shared by a name, where it cannot grow. Default: `bytes`. */
  readonly namedBytes?: number;
  /** If it is shared by a name: bytes of memory behind its words, in `cell.home.extent`. Default: none. */
  readonly extent?: number;
  /** Sets first values, before anyone else can see them. */
  readonly fill?: (words: Int32Array, at: number, bytes: number) => void;
}

/**
 * The cell for a new object, or the one of that name.
 * @throws {TypeError | RangeError} The name is none.
 * @throws {NameInUseError} It is another kind of object's, or another version's.
 * @throws {OutOfMemoryError} There is no room for it.
 */
export function openCell(
  kind: string,
  options: NamedOptions,
  { bytes, namedBytes = bytes, extent, fill }: Needs,
): Cell {
  if (typeof options !== 'object' || options === null)
    throw new TypeError(
      `Cannot make a ${kind} with ${String(options)} as options: give an object, as { name }`,
    );
  const { name } = options;
  if (name === undefined) {
    const cell = Cell.make(bytes);
    fill?.(cell.words, cell.at, bytes);
    return cell;
  }
  // The first words are a mark that is never 0: see Cell.named().
  const init = (words: Int32Array, start: number) => {
    words[start] = 1;
    fill?.(words, start + NAMED_HEAD, namedBytes);
  };
  const { home, at, close } = openNamed(kind, name, NAMED_HEAD + namedBytes / 4, init, extent);
  return Cell.named(home, at, { kind, name, leave: close });
}

/** What an object is called in messages. */
export function nameOf(cell: Cell, object: object): string {
  const kind = object.constructor.name;
  return cell.shared ? `${kind} "${cell.shared.name}"` : `${kind} ${cell.blocks[0]}`;
}
