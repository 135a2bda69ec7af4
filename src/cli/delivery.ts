import type { Piece, Receiver } from './engine.js';
import { hashOf } from './input-queue.js';
import type { Journal, Step } from './journal.js';
import type { Output } from './outputs.js';

/** What a piece weighs apart from its results: many empty results must not pass for nothing. */
const PIECE_BYTES = 256;

export interface DeliveryOptions {
  readonly ordered: boolean;
  readonly separator: number;
  readonly output: Output;
  readonly errors: Output;
  readonly journal?: Journal | undefined;
  /** Number of the first input that no earlier run has done. */
  readonly next: number;
  /** Writing failed: nothing more will be written. */
  readonly onBroken: (error: NodeJS.ErrnoException) => void;
  /** Called once, when the first result is on its way. */
  readonly onFirst: () => void;
}

/**
 * Writes pieces, in the order of inputs or as they come: results, then failures, then what the journal says of both.
 * What comes while a write is under way goes out with the next, together.
 */
export class Delivery implements Receiver {
  held = 0;
  onRelease: () => void = () => undefined;
  readonly #options: DeliveryOptions;
  /** In order: pieces that others must precede, by their first input. */
  readonly #early = new Map<number, Piece>();
  #next: number;
  #ready: Piece[] = [];
  #written: number;
  #writing: Promise<void> | undefined;
  #broken = false;
  #any = false;

  constructor(options: DeliveryOptions) {
    this.#options = options;
    this.#next = options.next;
    this.#written = options.journal?.outputLength ?? 0;
  }

  accept(piece: Piece): void {
    if (this.#broken) return;
    this.held += weight(piece);
    if (!this.#options.ordered || piece.again) this.#ready.push(piece);
    else {
      this.#early.set(piece.first, piece);
      this.#moveUp();
    }
    this.#start();
  }

  acceptLast(piece: Piece): void {
    const inTurn = !this.#options.ordered || piece.again || piece.first === this.#next;
    if (inTurn) {
      this.accept(piece);
      return;
    }
    // Results behind others that will never come are dropped, and the journal does not hear of them: count 0.
    if (this.#broken) return;
    this.#ready.push({ ...piece, count: 0, output: new Uint8Array(0) });
    this.#start();
  }

  /**
   * Resolves when all there is to write is written. Pieces behind a gap (their run was stopped) are written too, unless a
   * journal is kept: it has them run again, in their turn.
   */
  async finish(): Promise<void> {
    if (!this.#options.journal) {
      this.#ready.push(...[...this.#early.values()].sort((a, b) => a.first - b.first));
      this.#early.clear();
      this.#start();
    }
    while (this.#writing) await this.#writing;
  }

  #moveUp(): void {
    for (;;) {
      const piece = this.#early.get(this.#next);
      if (!piece) return;
      this.#early.delete(this.#next);
      this.#ready.push(piece);
      this.#next += piece.count;
    }
  }

  #start(): void {
    if (this.#writing || this.#ready.length === 0 || this.#broken) return;
    this.#writing = this.#writeReady()
      .catch((error: NodeJS.ErrnoException) => {
        this.#broken = true;
        this.#ready = [];
        this.#options.onBroken(error);
      })
      .finally(() => {
        this.#writing = undefined;
        this.#start();
      });
  }

  async #writeReady(): Promise<void> {
    const { output, errors, journal } = this.#options;
    while (this.#ready.length > 0) {
      const pieces = this.#ready;
      this.#ready = [];
      const failures = pieces.flatMap(({ failures }) => failures.map(({ line }) => `${line}\n`)).join('');
      const { step, results } = journal
        ? this.#stepOf(pieces)
        : { step: undefined, results: resultsOf(pieces) };
      if (results.length > 0) {
        if (!this.#any) this.#options.onFirst();
        this.#any = true;
        await output.write(results);
      }
      this.#written += results.length;
      if (failures !== '') await errors.write(Buffer.from(failures));
      if (step) await journal?.step(step);
      for (const piece of pieces) if (piece.count > 0) this.held -= weight(piece);
      this.onRelease();
    }
  }

  #stepOf(pieces: readonly Piece[]): { step: Step; results: Uint8Array } {
    const { ordered, separator } = this.#options;
    const ranges: [number, number, string][] = [];
    const failed: [number, number][] = [];
    const redone: number[] = [];
    const late: [number, string][] = [];
    const appended: Uint8Array[] = [];
    let offset = this.#written;
    let run: Piece[] = [];
    const endRun = (): void => {
      const [head] = run;
      if (!head) return;
      const count = run.reduce((sum, piece) => sum + piece.count, 0);
      ranges.push([
        head.first,
        count,
        hashOf(
          run.map(({ bytes }) => bytes),
          separator,
        ),
      ]);
      run = [];
    };
    for (const piece of pieces) {
      if (piece.count === 0) continue;
      const succeeded = piece.failures.length === 0;
      if (piece.again && ordered) {
        if (succeeded) late.push([piece.first, Buffer.from(piece.output).toString('utf8')]);
        continue;
      }
      if (piece.again) {
        if (succeeded) redone.push(piece.first);
      } else {
        const last = run.at(-1);
        if (last && last.first + last.count !== piece.first) endRun();
        run.push(piece);
        for (const failure of piece.failures)
          failed.push([piece.first + failure.at, offset + failure.offset]);
      }
      appended.push(piece.output);
      offset += piece.output.length;
    }
    endRun();
    const results = joined(appended);
    const output = results.length > 0 ? { output: [offset, hashOf([results])] as const } : {};
    return { step: { ranges, failed, redone, late, ...output }, results };
  }
}

function weight(piece: Piece): number {
  return piece.output.length + piece.bytes.length + PIECE_BYTES;
}

function resultsOf(pieces: readonly Piece[]): Uint8Array {
  return joined(pieces.map(({ output }) => output));
}

function joined(parts: readonly Uint8Array[]): Uint8Array {
  return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts);
}
