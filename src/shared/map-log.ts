import { createHash } from 'node:crypto';
import {
  closeSync,
  constants,
  copyFileSync,
  fchmodSync,
  fchownSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';
import { FORMAT } from '../codec/tags.js';
import { ManyhandsError, NameInUseError } from '../errors/errors.js';
import { native } from '../native/native.js';
import {
  FRAME_HEAD,
  frameLength,
  isWhole,
  loggedBytes,
  type MapChanges,
  MapCommit,
  tellRecords,
} from './map-commit.js';

/*
 * The file of a persisted SharedMap: all its commits, one behind the other.
 *
 *   header   {MAGIC, 24 bytes; version of this layout, u32; format of keys and values, u32}
 *   frames   one a commit (map-commit.ts), from LOG_START on
 *
 * Who calls append(), replay(), cut() or compact() holds the map's lock, and knows from the map's memory where the log ends: this
 * file's length need not be that, as whoever died while it wrote has left a part of a frame behind. So frames are written at
 * that place, not at the file's end (O_APPEND): over what was left there.
 *
 * What has been written is safe from any death of programs: the kernel has it. It is not forced to the disk at each commit, so a
 * power cut may take commits of the last seconds, the youngest first; what is half there fails its checksum, and replay() ends
 * before it. sync() forces it.
 *
 * compact() puts a new file in place of the old one by rename(2): whoever dies meanwhile leaves one or the other. All others
 * have the old one open then, so the map's memory counts generations, and who finds another one than it knows calls refresh(). For
 * the same reason a map is not known by its file's inode: logPlace() names it by its folder's, and by the file's name there.
 *
 * How a map uses it, all under its lock:
 *
 *   opening    the memory is found by logPlace().name, then the log is opened; who finds the memory without a mark that it is
 *              ready replays all of the log into it, cuts off the rest, notes the end, and sets that mark
 *   a change   is given all memory that it needs, so that nothing can refuse it any more; marked as under way; appended; made in the
 *              memory; then the new end is noted, in one store
 *   a death    leaves the mark of a change under way: what is whole behind the noted end did happen, so it is replayed, which does no harm if
 *              a part of it had been made
 *   compact()  has a mark of its own around it: who finds that calls refresh(), and the end is that of replay() over the whole file
 *
 * Programs that share the map's memory are of one session, a number that lies in it. They mark the file with it, by a lock that the
 * kernel takes away with them, so that another memory of the same file is refused: that of another user, or of a container.
 */
const MAGIC = Buffer.from('manyhands SharedMap log\n', 'latin1');
const VERSION = 1;

/** Where the first commit lies. */
export const LOG_START = MAGIC.length + 8;

/** Bytes of garbage below which it is not worth while to write the file anew. */
const LEAST_GARBAGE = 4 * 2 ** 20;

/** Frames of a file that is written anew, and what is read at once. */
const PIECE = 2 ** 18;

/** How often to look whether the other one of two that came at the same moment has gone. */
const TRIES = 5;

/** Where a log lies, whatever way leads there, and a name for it that is no other's. */
export interface LogPlace {
  readonly path: string;
  readonly name: string;
}

/**
 * Finds the place of a log that may not exist yet.
 * @throws {TypeError} The path is none.
 * @throws {ManyhandsError} There is no such folder, or it may not be looked into: see the cause.
 */
export function logPlace(file: string): LogPlace {
  if (typeof file !== 'string' || file === '' || file.includes('\0'))
    throw new TypeError('The option "persist" must be the path of a file');
  try {
    const real = realPath(path.resolve(file));
    const { dev, ino } = statSync(path.dirname(real), { bigint: true });
    const hash = createHash('sha256')
      .update(`${dev} ${ino} ${path.basename(real)}`)
      .digest('hex');
    return { path: real, name: `persist:${hash.slice(0, 32)}` };
  } catch (error) {
    throw failure('open', file, error);
  }
}

/** @throws The system's error; ENOENT if a folder is missing, or if it is a symbolic link that leads nowhere. */
function realPath(file: string): string {
  if (lstatSync(file, { throwIfNoEntry: false })) return realpathSync(file);
  return path.join(realpathSync(path.dirname(file)), path.basename(file));
}

/** Is so much garbage in a log that to write it anew pays? Both in bytes, `live` as liveLength() counts. */
export function isWorthCompacting(length: number, live: number): boolean {
  const garbage = length - live;
  return garbage > live && garbage > LEAST_GARBAGE;
}

/** Bytes of a log that holds so many entries and nothing else, whose keys and values have so many bytes together; about. */
export function liveLength(entries: number, bytes: number): number {
  return LOG_START + bytes + entries * loggedBytes(0, 0);
}

/** What replay() tells. */
export interface LogVisitor extends MapChanges {
  /** A commit has been told; the next one begins here. */
  committed(end: number): void;
}

/** How far a log is good. */
export interface Replayed {
  /** Where the last whole commit ends. */
  readonly end: number;
  /**
   * What follows. 'unfinished': the beginning of a commit, as somebody who was killed leaves behind. 'damaged': something else, as
   * after a power cut, or on a failing disk; whole commits may lie behind it.
   */
  readonly rest: 'nothing' | 'unfinished' | 'damaged';
}

/** The log of one persisted map as this thread has it open. */
export class MapLog {
  readonly path: string;
  readonly #session: number;
  #fd: number;

  private constructor(file: string, session: number, fd: number) {
    this.path = file;
    this.#session = session;
    this.#fd = fd;
  }

  /**
   * Opens the log, or makes an empty one that only this user may read (mode 0600). `session`: a number from 1 to 2³² − 1 that all
   * who share the map's memory have in common.
   * @throws {NameInUseError} It is another kind of file, another version's, or open in another session. It is unchanged.
   * @throws {ManyhandsError} The system refuses: see the cause.
   */
  static open({ path: file }: LogPlace, session: number): MapLog {
    return new MapLog(file, session, openLog(file, session));
  }

  /** Bytes of the file, with what a death may have left at its end. */
  get length(): number {
    return fstatSync(this.#fd).size;
  }

  /**
   * Tells all whole commits from `from` on, in order: each to its end before the next one is looked at. What cannot be a
   * commit ends it; what comes then is to be cut off with cut(), before anything else is appended.
   * @throws {ManyhandsError} The file cannot be read. Whatever `to` throws is thrown on.
   */
  replay(from: number, to: LogVisitor): Replayed {
    const { size } = fstatSync(this.#fd);
    const pieces = new Pieces(this.#fd, this.path);
    let end = from;
    while (end < size) {
      if (size - end < FRAME_HEAD) return { end, rest: 'unfinished' };
      const head = Buffer.from(pieces.read(end, FRAME_HEAD));
      const length = frameLength(head, end);
      if (length === undefined) return { end, rest: 'damaged' };
      if (length > size - end - FRAME_HEAD) return { end, rest: 'unfinished' };
      const records = pieces.read(end + FRAME_HEAD, length);
      if (!isWhole(head, records)) return { end, rest: 'damaged' };
      tellRecords(records, to);
      end += FRAME_HEAD + length;
      to.committed(end);
    }
    return { end, rest: 'nothing' };
  }

  /**
   * Cuts off what follows the last whole commit. What is damaged, rather than unfinished, is not thrown away: the whole file is
   * copied first, to the name that is returned, `‹path›.damaged`, in place of an older one.
   * @throws {ManyhandsError} The system refuses; the file is unchanged.
   */
  cut({ end, rest }: Replayed): string | undefined {
    if (rest === 'nothing') return undefined;
    const copy = rest === 'damaged' ? `${this.path}.damaged` : undefined;
    try {
      if (copy !== undefined) {
        rmSync(copy, { force: true });
        copyFileSync(this.path, copy, constants.COPYFILE_EXCL);
      }
      ftruncateSync(this.#fd, end);
    } catch (error) {
      throw failure('mend', this.path, error);
    }
    return copy;
  }

  /**
   * Writes a commit at `end`, where the log ends, by one system call; returns where it ends now. An empty commit writes nothing.
   * @throws {ManyhandsError} There is no room, or the disk fails: see the cause. The log is as it was: what had been written of the
   *   commit is cut off, or if even that fails, ignored by replay() and written over by the next.
   */
  append(commit: MapCommit, end: number): number {
    if (commit.length === 0) return end;
    try {
      writeAll(this.#fd, commit.frameAt(end), end);
    } catch (error) {
      // If that fails, the checksum sees to it: see above.
      quietly(() => ftruncateSync(this.#fd, end));
      throw failure('write to', this.path, error);
    }
    return end + commit.length;
  }

  /**
   * Writes the file anew, with these entries alone; returns where the log ends now. This thread has the new file open then. For
   * others, and if somebody dies meanwhile, see refresh(). Forces the new file to the disk before it takes the old one's place.
   * @throws {ManyhandsError} There is no room, or the disk fails: see the cause. The log is as it was. Also whatever `entries` throws.
   */
  compact(entries: Iterable<readonly [key: Uint8Array, value: Uint8Array]>): number {
    const beside = `${this.path}.compacting`;
    let fd: number | undefined;
    try {
      // What somebody who was killed has left: not to be written into, as it may be a link.
      rmSync(beside, { force: true });
      fd = openSync(beside, 'wx+', 0o600);
      native.fileJoin(fd, this.#session);
      keepRights(this.#fd, fd);
      const end = writeEntries(fd, entries);
      fsyncSync(fd);
      renameSync(beside, this.path);
      // From here on it is the log, whatever fails.
      const old = this.#fd;
      this.#fd = fd;
      quietly(() => closeSync(old));
      // Else a power cut may bring the old file back.
      quietly(() => syncFolder(this.path));
      return end;
    } catch (error) {
      if (fd !== undefined) {
        closeSync(fd);
        rmSync(beside, { force: true });
      }
      throw isSystemError(error) ? failure('compact', this.path, error) : error;
    }
  }

  /**
   * Opens the file anew if another one is in its place now. To be called when the map's memory says that it was compacted, and
   * after the death of somebody who held the lock: it may have died before it could say so. Returns whether it was another one;
   * nothing of what the memory knows of the log's end is true then.
   * @throws as open() does.
   */
  refresh(): boolean {
    if (isAt(this.#fd, this.path)) return false;
    const fd = openLog(this.path, this.#session);
    closeSync(this.#fd);
    this.#fd = fd;
    return true;
  }

  /** Returns when the disk has all that was appended, by whomever. @throws {ManyhandsError} The disk fails: see the cause. */
  sync(): void {
    try {
      fdatasyncSync(this.#fd);
    } catch (error) {
      throw failure('sync', this.path, error);
    }
  }

  /** A second call does nothing. */
  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Reads the file in large pieces. */
class Pieces {
  readonly #fd: number;
  readonly #path: string;
  #piece = Buffer.allocUnsafeSlow(PIECE);
  /** What of the file the piece holds. */
  #from = 0;
  #to = 0;

  constructor(fd: number, file: string) {
    this.#fd = fd;
    this.#path = file;
  }

  /** Bytes that are there; good until the next call. */
  read(at: number, length: number): Buffer {
    if (at < this.#from || at + length > this.#to) this.#fill(at, length);
    return this.#piece.subarray(at - this.#from, at - this.#from + length);
  }

  #fill(at: number, length: number): void {
    if (length > this.#piece.length) this.#piece = Buffer.allocUnsafeSlow(length);
    else if (length <= PIECE && this.#piece.length > PIECE) this.#piece = Buffer.allocUnsafeSlow(PIECE);
    this.#from = this.#to = at;
    while (this.#to - at < length) {
      const had = this.#to - at;
      const read = this.#readInto(had, this.#to);
      if (read === 0) throw failure('read', this.#path, new Error('it became shorter'));
      this.#to += read;
    }
  }

  #readInto(offset: number, at: number): number {
    try {
      return readSync(this.#fd, this.#piece, offset, this.#piece.length - offset, at);
    } catch (error) {
      throw failure('read', this.#path, error);
    }
  }
}

function openLog(file: string, session: number): number {
  for (;;) {
    const fd = openOrMake(file);
    try {
      checkHeader(fd, file);
      join(fd, session, file);
      // It may have been compacted between the first step and the last.
      if (isAt(fd, file)) return fd;
    } catch (error) {
      closeSync(fd);
      throw isSystemError(error) ? failure('open', file, error) : error;
    }
    closeSync(fd);
  }
}

function openOrMake(file: string): number {
  try {
    return openSync(file, constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    throw failure('open', file, error);
  }
}

/** Writes the header if it is new, or if who made it died before it had. Two that do so at once write the same. */
function checkHeader(fd: number, file: string): void {
  if (!fstatSync(fd).isFile()) throw foreign(file, 'it is no regular file', 'name a file, or a new one');
  const expected = header();
  const found = Buffer.alloc(LOG_START);
  const length = readSync(fd, found, 0, LOG_START, 0);
  if (length < LOG_START && expected.subarray(0, length).equals(found.subarray(0, length))) {
    writeAll(fd, expected, 0);
    fsyncSync(fd);
    syncFolder(file);
    return;
  }
  if (length < LOG_START || !found.subarray(0, MAGIC.length).equals(MAGIC))
    throw foreign(file, 'it is no log of a SharedMap', 'name one that is, or a new file');
  const version = found.readUInt32LE(MAGIC.length);
  const format = found.readUInt32LE(MAGIC.length + 4);
  if (version !== VERSION || format !== FORMAT)
    throw foreign(
      file,
      `another version of manyhands wrote it (layout ${version}, values ${format}; here ${VERSION}, ${FORMAT})`,
      'read it with that version, or name a new file',
    );
}

function header(): Buffer {
  const bytes = Buffer.alloc(LOG_START);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, MAGIC.length);
  bytes.writeUInt32LE(FORMAT, MAGIC.length + 4);
  return bytes;
}

function join(fd: number, session: number, file: string): void {
  for (let tries = 1; isOfOthers(fd, session); tries++) {
    if (tries === TRIES)
      throw foreign(
        file,
        'another program that cannot share its memory has it open (of another user, or in another container)',
        'end that one first',
      );
    // Two that came at once must not come at once again.
    Atomics.wait(CLOCK, 0, 0, Math.random() * 2 ** tries);
  }
}

const CLOCK = new Int32Array(new SharedArrayBuffer(4));

function isOfOthers(fd: number, session: number): boolean {
  try {
    return native.fileJoin(fd, session) === 1;
  } catch (error) {
    // A file system without locks has nobody excluded.
    if (WITHOUT_LOCKS.has(codeOf(error))) return false;
    throw error;
  }
}

const WITHOUT_LOCKS = new Set(['ENOLCK', 'EOPNOTSUPP', 'ENOTSUP', 'EINVAL', 'ENOSYS']);

/** Is this what the path names? */
function isAt(fd: number, file: string): boolean {
  const is = statSync(file, { bigint: true, throwIfNoEntry: false });
  const was = fstatSync(fd, { bigint: true });
  return is !== undefined && is.ino === was.ino && is.dev === was.dev;
}

/** The new file is for those whom the old one was for, as far as this user may say so. */
function keepRights(from: number, to: number): void {
  const { mode, uid, gid } = fstatSync(from);
  const own = fstatSync(to);
  const isSame = own.uid === uid && own.gid === gid;
  const isGiven = isSame || quietly(() => fchownSync(to, uid, gid));
  // What the old one's group might do is not for another group.
  fchmodSync(to, mode & (isGiven ? 0o777 : 0o700));
}

function writeEntries(fd: number, entries: Iterable<readonly [Uint8Array, Uint8Array]>): number {
  const commit = new MapCommit();
  writeAll(fd, header(), 0);
  let end = LOG_START;
  const flush = (): void => {
    if (commit.length === 0) return;
    writeAll(fd, commit.frameAt(end), end);
    end += commit.length;
    commit.reset();
  };
  for (const [key, value] of entries) {
    if (commit.length + loggedBytes(key.length, value.length) > PIECE) flush();
    commit.set(key, value);
  }
  flush();
  return end;
}

/** One system call, unless the disk takes only a part of it. */
function writeAll(fd: number, bytes: Uint8Array, at: number): void {
  for (let written = 0; written < bytes.length; )
    written += writeSync(fd, bytes, written, bytes.length - written, at + written);
}

/** Until then a new name in a folder may be lost at a power cut. */
function syncFolder(file: string): void {
  const folder = openSync(path.dirname(file), constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(folder);
  } catch (error) {
    // Some file systems offer that for files only.
    if (codeOf(error) !== 'EINVAL') throw error;
  } finally {
    closeSync(folder);
  }
}

/** Does something that may fail; whether it was done. */
function quietly(something: () => void): boolean {
  try {
    something();
    return true;
  } catch {
    return false;
  }
}

function codeOf(error: unknown): string {
  return String((error as NodeJS.ErrnoException | undefined)?.code);
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).errno === 'number';
}

const WAYS: Readonly<Record<string, readonly [state: string, way: string]>> = {
  ENOSPC: ['the disk is full', 'make room'],
  EDQUOT: ["this user's share of the disk is used up", 'make room'],
  EFBIG: ['the file would be larger than is allowed', 'raise that limit'],
  EACCES: ['this user may not read and write there', 'have the rights changed, or name another file'],
  EPERM: ['this user may not do that', 'have the rights changed, or name another file'],
  EROFS: ['its file system is read-only', 'name another file'],
  EISDIR: ['it is a folder', 'name a file'],
  ENOENT: ['its folder does not exist, or a link leads nowhere', 'make the folder first'],
  ENOTDIR: ['what should be its folder is a file', 'name another file'],
  EMFILE: ['this process has too many files open', 'close some, or raise the limit'],
};

/** The system's refusal, as something to act on. */
function failure(act: string, file: string, cause: unknown): ManyhandsError {
  const [state, way] = WAYS[codeOf(cause)] ?? [
    `the system said "${cause instanceof Error ? cause.message : cause}"`,
    'see the cause',
  ];
  return new ManyhandsError(`Cannot ${act} the log ${file} as ${state}: ${way}`, { cause });
}

function foreign(file: string, state: string, way: string): NameInUseError {
  return new NameInUseError(`Cannot keep a SharedMap in ${file} as ${state}: ${way}`);
}
