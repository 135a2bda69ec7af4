import { NameInUseError } from '../errors/errors.js';
import { onDepart } from '../wait/depart.js';
import type { Home } from './home.js';
import { NamedHome } from './named-home.js';
import { OBJECT } from './named-layout.js';

/*
 * Memory that unrelated programs of one user share by name. NAMED.md tells how they find it, wait in it, and what closes
 * the races.
 */

/** The longest name, in bytes of UTF-8: it is part of the name of a memory file, which has 249. */
const LONGEST_NAME = 200;

/** What one thread has of a name. */
export interface Named {
  readonly home: Home;
  /** Index of the object's first word, a multiple of 16. */
  readonly at: number;
  /** This thread is done with it; what it holds there is taken for abandoned. A second call does nothing. */
  close(): void;
}

/** What this thread has open, by name, and for how many. */
const open = new Map<string, { home: NamedHome; users: number }>();

/**
 * Finds the memory of a name, or makes it: then `init` fills in the words, once, before anyone else can see them. It is gone
 * when the last thread that has it open is done with it or has ended, however it ended.
 *
 * Names are those of one user: what another user calls the same is something else. `words` must be the same for all of a kind,
 * and so must `extent`: bytes of memory behind the words (`Home.extent`), a multiple of 64 KiB, which cost nothing until they
 * are touched.
 *
 * @throws {TypeError | RangeError} The name is none.
 * @throws {NameInUseError} It is that of another kind of object, of another version of the library, or held by another user.
 * @throws {TimeoutError} Somebody has been opening it for 5 s.
 * @throws {OutOfMemoryError} The limits of this process forbid a file, or a mapping, of that size.
 */
export function openNamed(
  kind: string,
  name: string,
  words: number,
  init: (words: Int32Array, at: number) => void,
  extent = 0,
): Named {
  checkName(kind, name);
  let entry = open.get(name);
  if (entry === undefined) {
    entry = { home: new NamedHome({ kind, name, words, extent, init }), users: 0 };
    open.set(name, entry);
  } else if (entry.home.kind !== kind) {
    throw new NameInUseError(
      `Cannot open the ${kind} "${name}" as this thread has a ${entry.home.kind} of that name: take another name for one of them`,
    );
  }
  entry.users++;
  let closed = false;
  return {
    home: entry.home,
    at: OBJECT,
    close: () => {
      if (closed) return;
      closed = true;
      if (--entry.users > 0) return;
      open.delete(name);
      entry.home.close();
    },
  };
}

function checkName(kind: string, name: unknown): void {
  if (typeof name !== 'string')
    throw new TypeError(`Cannot open a ${kind} as "name" is ${typeof name}: give a string`);
  const bytes = Buffer.from(name);
  if (bytes.length === 0 || bytes.length > LONGEST_NAME)
    throw new RangeError(
      `Cannot open a ${kind} as "name" has ${bytes.length} bytes: give one of 1 to ${LONGEST_NAME}`,
    );
  if (name.includes('\0') || bytes.toString() !== name)
    throw new RangeError(`Cannot open a ${kind} as "name" holds what is no text: give one without "\\0"`);
}

onDepart(() => {
  for (const { home } of open.values()) home.leave();
  return false; // who waits there has been told
});

/** In a forked child: the parent's part in names is not ours. To be called before forgetDoorbell(). */
export function forgetNamed(): void {
  for (const { home } of open.values()) home.forget();
}
