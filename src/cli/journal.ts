import { createHash } from 'node:crypto';
import { constants, fstatSync, readFileSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { type DoneRange, hashOf, shorten } from './input-queue.js';
import { UsageError } from './usage-error.js';

/*
 * What `--resume` knows: an append-only file of records, each a line `CHECKSUM JSON`.
 *
 *   header   which function was run, and how inputs were read: a resumed run must be the same
 *   opened   which process goes on from here: while it lives, nobody else may
 *   step     inputs done, those of them that failed, and what the output came to be: its length, and the checksum of
 *            the bytes that were added
 *   merged   the output was, or is about to be, replaced by one that has late results in their places
 *
 * Order of writing: first the output, then the step that speaks of it. Killed in between, or half-way through either,
 * a run leaves output that no step speaks of, and perhaps the beginning of a record: both are cut off by the next one.
 *
 * Order of reading: a record counts if its checksum is right and the output holds the bytes it speaks of. So nothing
 * depends on which file the kernel wrote to disk first; after a crash of the machine the steps from the first whose
 * bytes are not there are forgotten, and their inputs run again. Data is flushed to disk every FLUSH_MS, which bounds
 * how many that are; a kill alone loses nothing that was written.
 *
 * A failed input runs again when its run is resumed. Its result may then be wanted in the middle of the output, behind
 * which other results stand: it is kept in the journal (`late`) until the end. Then a new output is written beside the old
 * one, a `merged` record tells what it will be, and the new one takes the old one's name. Whichever of the two the next run
 * finds, it can tell by the checksum.
 */

const FLUSH_MS = 1000;
const COPY_SIZE = 1 << 20;

export interface JournalHeader {
  readonly module: string;
  readonly exportName: string;
  readonly separator: number;
  readonly json: boolean;
  readonly raw: boolean;
  readonly ordered: boolean;
}

/** One thing done. */
export interface Step {
  /** First input, how many, hashOf() them. */
  readonly ranges: readonly (readonly [first: number, count: number, hash: string])[];
  /** Input that failed, and where in the output its result would stand. */
  readonly failed: readonly (readonly [input: number, offset: number])[];
  /** Inputs that had failed, whose results were now added at the end of the output. */
  readonly redone: readonly number[];
  /** Inputs that had failed, and their results' lines, to be put in their places. */
  readonly late: readonly (readonly [input: number, lines: string])[];
  /** Length of the output now, and checksum of what was added. Absent if nothing was. */
  readonly output?: readonly [length: number, hash: string];
}

interface Merged {
  readonly merged: readonly [length: number, hash: string];
  readonly failed: readonly (readonly [input: number, offset: number])[];
}

interface Opened {
  readonly opened: readonly [pid: number, start: string];
}

type JournalRecord = Step | Merged | Opened;

/** What records amount to. */
interface State {
  readonly ranges: (readonly [first: number, count: number, hash: string])[];
  failed: Map<number, number>;
  late: Map<number, { offset: number; lines: string }>;
  /** Ends of the parts of the output, each with its checksum and the record that speaks of it. */
  parts: { end: number; hash: string; record: number }[];
}

/** The journal of one run; of the output it only changes what no step speaks of, and the order when finished. */
export class Journal {
  /** What earlier runs have done, in the order of inputs. */
  readonly done: readonly DoneRange[];
  /** How much of the output stands: writing goes on from here. */
  readonly outputLength: number;
  /** Output that is not what the journal says (a crash of the machine, or somebody edited it): to be told. */
  readonly warning: string | undefined;
  readonly #file: FileHandle;
  readonly #output: FileHandle;
  readonly #outputPath: string;
  readonly #state: State;
  readonly #flusher: NodeJS.Timeout;
  #flushing: Promise<void> = Promise.resolve();

  private constructor(
    file: FileHandle,
    output: FileHandle,
    outputPath: string,
    state: State,
    warning: string | undefined,
  ) {
    this.#file = file;
    this.#output = output;
    this.#outputPath = outputPath;
    this.#state = state;
    this.warning = warning;
    this.outputLength = state.parts.at(-1)?.end ?? 0;
    this.done = doneRanges(state);
    this.#flusher = setInterval(() => this.#flush(), FLUSH_MS);
    this.#flusher.unref();
  }

  /**
   * Opens or makes a journal, and cuts output and journal back to what is proved.
   * @throws {UsageError} It is no journal, or that of another function or of other options; a file cannot be used.
   */
  static async open(path: string, header: JournalHeader, outputPath: string): Promise<Journal> {
    const file = await openForUpdate(path, constants.O_APPEND, 'keep the journal in');
    const output = await openForUpdate(outputPath, 0, 'write');
    const { lines, ends } = await readRecords(file, path);
    const head = lines.shift();
    if (head === undefined) {
      await file.truncate(0);
      await append(file, { manyhands: 'map', version: 1, ...header });
    } else checkHeader(head, header, path);
    const records = lines as JournalRecord[];
    refuseSecond(records, path);
    const known = records.length;
    const last = records.at(-1);
    let state = replay(records);
    for (;;) {
      const unproved = await firstUnproved(state.parts, output);
      if (unproved === undefined) break;
      records.length = unproved;
      state = replay(records);
    }
    // A last record that only announced a merge: the run ended before it happened, nothing is wrong.
    const announced = records.length === known - 1 && last !== undefined && 'merged' in last;
    if (head !== undefined) await file.truncate(ends[records.length] ?? 0);
    const journal = new Journal(
      file,
      output,
      outputPath,
      state,
      records.length < known && !announced
        ? `${outputPath} does not hold all that ${path} has done: what is missing runs again`
        : undefined,
    );
    await append(file, { opened: [process.pid, startOf(process.pid)] });
    await output.truncate(journal.outputLength);
    await rm(mergePath(outputPath), { force: true });
    return journal;
  }

  /** Descriptor of the output. */
  get outputFd(): number {
    return this.#output.fd;
  }

  /** Notes what was done. The output it speaks of must have been written. */
  async step(step: Step): Promise<void> {
    const { ranges, failed, redone, late, output } = step;
    if (ranges.length + redone.length + late.length === 0) return;
    noteFailures(this.#state, step);
    await append(this.#file, { ranges, failed, redone, late, ...(output ? { output } : {}) });
  }

  /** Ends the journal; `complete`: every input has been dealt with, so that late results can take their places. */
  async close(complete: boolean): Promise<void> {
    clearInterval(this.#flusher);
    await this.#flushing;
    if (complete && this.#state.late.size > 0) await this.#merge();
    else await this.#output.datasync();
    await this.#file.datasync();
    await this.#output.close();
    await this.#file.close();
  }

  #flush(): void {
    this.#flushing = this.#flushing
      .then(() => this.#output.datasync())
      .then(() => this.#file.datasync())
      .catch(() => undefined); // what is wrong with the disk, the next write tells
  }

  async #merge(): Promise<void> {
    const path = mergePath(this.#outputPath);
    const { mode } = fstatSync(this.#output.fd);
    const copy = await open(path, 'w', mode);
    const hash = createHash('sha256');
    let length = 0;
    const add = async (bytes: Uint8Array): Promise<void> => {
      hash.update(bytes);
      await copy.writeFile(bytes);
      length += bytes.length;
    };
    const places = [
      ...[...this.#state.late].map(([input, { offset, lines }]) => ({ input, offset, lines })),
      ...[...this.#state.failed].map(([input, offset]) => ({ input, offset, lines: '' })),
    ].sort((a, b) => a.input - b.input);
    const failed: [number, number][] = [];
    let read = 0;
    for (const { input, offset, lines } of places) {
      for await (const bytes of bytesOf(this.#output, read, offset)) await add(bytes);
      read = offset;
      if (this.#state.failed.has(input)) failed.push([input, length]);
      else await add(Buffer.from(lines));
    }
    for await (const bytes of bytesOf(this.#output, read, fstatSync(this.#output.fd).size)) await add(bytes);
    await copy.datasync();
    await copy.close();
    await append(this.#file, { merged: [length, shorten(hash)], failed });
    await this.#file.datasync();
    await rename(path, this.#outputPath);
  }
}

function mergePath(outputPath: string): string {
  return `${outputPath}.merging`;
}

async function openForUpdate(path: string, flags: number, purpose: string): Promise<FileHandle> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDWR | constants.O_CREAT | flags);
  } catch (error) {
    throw new UsageError(`Cannot ${purpose} ${path}: ${(error as Error).message}`);
  }
  if (fstatSync(file.fd).isFile()) return file;
  await file.close();
  throw new UsageError(`Cannot ${purpose} ${path} as it is no regular file: --resume needs one`);
}

async function append(file: FileHandle, record: object): Promise<void> {
  const json = JSON.stringify(record);
  // One write, at the end: what a former run left unfinished there was cut off.
  await file.appendFile(`${hashOf([Buffer.from(json)])} ${json}\n`);
}

/** The records up to the first that is not whole, and where each ends. */
async function readRecords(file: FileHandle, path: string): Promise<{ lines: object[]; ends: number[] }> {
  const bytes = await file.readFile();
  const lines: object[] = [];
  const ends: number[] = [];
  for (let at = 0; ; ) {
    const end = bytes.indexOf(10, at);
    const json = bytes.subarray(at + 25, Math.max(end, at + 25));
    if (end === -1 || bytes.toString('latin1', at, at + 24) !== hashOf([json])) break;
    lines.push(JSON.parse(json.toString('utf8')));
    at = end + 1;
    ends.push(at);
  }
  const unfinishedHeader = !bytes.includes(10) && /^[0-9a-f]{0,24}( .*)?$/.test(bytes.toString('latin1'));
  if (lines.length === 0 && !unfinishedHeader) {
    throw new UsageError(
      `Cannot resume from ${path} as it is no journal: name a file of an earlier --resume, or a new one`,
    );
  }
  return { lines, ends };
}

function checkHeader(found: object, header: JournalHeader, path: string): void {
  const was = found as Partial<JournalHeader> & { manyhands?: string; version?: number };
  const refuse = (state: string, way: string): never => {
    throw new UsageError(
      `Cannot resume from ${path} as ${state}: ${way}, or start anew with another journal`,
    );
  };
  if (was.manyhands !== 'map') refuse('it is not the journal of a map', 'name one that is');
  if (was.version !== 1) refuse(`another version wrote it (format ${was.version})`, 'use that one');
  const named = ({ module, exportName }: Partial<JournalHeader>): string => `${module}#${exportName}`;
  if (named(was) !== named(header))
    refuse(`it is that of ${named(was)}, not of ${named(header)}`, 'name that function');
  const options: [keyof JournalHeader, string][] = [
    ['json', '--json'],
    ['raw', '--raw'],
    ['separator', '-0'],
    ['ordered', '--unordered'],
  ];
  for (const [key, flag] of options) {
    if (was[key] !== header[key])
      refuse(`${flag} was given only to one of the two runs`, 'give the same options');
  }
}

function refuseSecond(records: readonly JournalRecord[], path: string): void {
  const last = records.findLast((record): record is Opened => 'opened' in record);
  if (!last) return;
  const [pid, start] = last.opened;
  if (startOf(pid) !== start) return;
  throw new UsageError(
    `Cannot resume from ${path} as process ${pid} is still running with it: wait for that one, or end it`,
  );
}

/** When a process started, in the kernel's ticks: with its id, that names it for good. Undefined if it has ended. */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
  } catch {
    return undefined;
  }
}

function replay(records: readonly JournalRecord[]): State {
  const state: State = { ranges: [], failed: new Map(), late: new Map(), parts: [] };
  for (const [i, record] of records.entries()) {
    if ('opened' in record) continue;
    if ('merged' in record) {
      state.failed = new Map(record.failed);
      state.late = new Map();
      state.parts = [{ end: record.merged[0], hash: record.merged[1], record: i }];
    } else apply(state, record, i);
  }
  return state;
}

function apply(state: State, step: Step, record: number): void {
  state.ranges.push(...step.ranges);
  if (step.output) state.parts.push({ end: step.output[0], hash: step.output[1], record });
  noteFailures(state, step);
}

function noteFailures(state: State, step: Step): void {
  for (const [input, offset] of step.failed) state.failed.set(input, offset);
  for (const input of step.redone) state.failed.delete(input);
  for (const [input, lines] of step.late) {
    state.late.set(input, { offset: state.failed.get(input) ?? 0, lines });
    state.failed.delete(input);
  }
}

function doneRanges(state: State): DoneRange[] {
  const failed = [...state.failed.keys()].sort((a, b) => a - b);
  let at = 0;
  return [...state.ranges]
    .sort(([a], [b]) => a - b)
    .map(([first, count, hash]) => {
      const from = at;
      while (at < failed.length && (failed[at] as number) < first + count) at++;
      return { first, count, hash, failed: failed.slice(from, at) };
    });
}

/** The first record that speaks of output which is not there. */
async function firstUnproved(parts: State['parts'], output: FileHandle): Promise<number | undefined> {
  const { size } = fstatSync(output.fd);
  let start = 0;
  for (const { end, hash, record } of parts) {
    if (end > size) return record;
    const found = createHash('sha256');
    for await (const bytes of bytesOf(output, start, end)) found.update(bytes);
    if (shorten(found) !== hash) return record;
    start = end;
  }
  return undefined;
}

async function* bytesOf(file: FileHandle, start: number, end: number): AsyncGenerator<Buffer> {
  for (let at = start; at < end; ) {
    const buffer = Buffer.allocUnsafe(Math.min(COPY_SIZE, end - at));
    const { bytesRead } = await file.read(buffer, 0, buffer.length, at);
    if (bytesRead === 0) return;
    at += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}
