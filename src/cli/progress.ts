import type { WriteStream } from 'node:tty';
import type { EngineTotals } from './engine.js';

const BAR_MS = 100;
const LINE_MS = 1000;
const BAR_WIDTH = 24;

/** How far a run is. */
export interface Standing extends EngineTotals {
  /** Done by an earlier run: inputs and their bytes. */
  readonly passed: { readonly count: number; readonly bytes: number };
  /** All there is to do, as far as it is known. */
  readonly totalCount: number | undefined;
  readonly totalBytes: number | undefined;
}

export interface ProgressOptions {
  /** A bar that is drawn over and over, or a line now and then. */
  readonly style: 'bar' | 'lines' | 'none';
  readonly stream: NodeJS.WritableStream;
  readonly standing: () => Standing;
}

/** Tells on a terminal, or in a log, how far a run is. What others write to the terminal must be preceded by hide(). */
export class Progress {
  readonly #options: ProgressOptions;
  readonly #started = performance.now();
  #timer: NodeJS.Timeout | undefined;
  #drawn = false;

  constructor(options: ProgressOptions) {
    this.#options = options;
  }

  start(): void {
    const { style } = this.#options;
    if (style === 'none') return;
    this.#timer = setInterval(() => this.#show(), style === 'bar' ? BAR_MS : LINE_MS);
    this.#timer.unref();
  }

  /** Takes the bar away, until it is next due. */
  hide(): void {
    if (!this.#drawn) return;
    this.#options.stream.write('\r\x1b[K');
    this.#drawn = false;
  }

  /** Shows no more; in a log, the last figures are told once more. */
  stop(): void {
    if (!this.#timer) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (this.#options.style === 'lines') this.#show();
    this.hide();
  }

  #show(): void {
    const { style, stream, standing } = this.#options;
    const now = standing();
    const elapsed = performance.now() - this.#started;
    if (style === 'lines') {
      stream.write(`manyhands: ${figures(now, elapsed).join(', ')}\n`);
      return;
    }
    const share = shareOf(now);
    const filled = Math.round((share ?? 0) * BAR_WIDTH);
    const bar = share === undefined ? '' : `${'█'.repeat(filled)}${'░'.repeat(BAR_WIDTH - filled)}  `;
    const columns = (stream as Partial<WriteStream>).columns || 80;
    stream.write(`\r${(bar + figures(now, elapsed).join('  ')).slice(0, columns - 1)}\x1b[K`);
    this.#drawn = true;
  }
}

/** The figures of a run, as words: how much, how fast, how long still. */
export function figures(now: Standing, elapsed: number): string[] {
  const here = now.done + now.failed;
  const share = shareOf(now);
  const words = [`${count(now.done)} done`, `${count(now.failed)} failed`];
  if (now.passed.count > 0) words.push(`${count(now.passed.count)} done before`);
  words.push(perSecond(here, elapsed));
  if (share !== undefined) {
    words.push(`${Math.floor(share * 100)} %`);
    const left = timeLeft(now, elapsed);
    if (left !== undefined && share < 1) words.push(`${duration(left)} left`);
  }
  return words;
}

/** So many a second: with a decimal where it matters. */
export function perSecond(n: number, elapsed: number): string {
  const rate = elapsed > 0 ? (n * 1000) / elapsed : 0;
  return `${rate < 10 ? rate.toFixed(1) : count(rate)}/s`;
}

/** Whole numbers, with a comma between thousands. */
export function count(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

/** Milliseconds, as one would say them. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  const minutes = Math.floor(ms / 60_000);
  const rest = `${String(Math.floor((ms % 60_000) / 1000)).padStart(2, '0')} s`;
  return minutes < 60 ? `${minutes} min ${rest}` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

function shareOf(now: Standing): number | undefined {
  if (now.totalCount) return Math.min(1, (now.passed.count + now.done + now.failed) / now.totalCount);
  if (now.totalBytes) return Math.min(1, (now.passed.bytes + now.bytes) / now.totalBytes);
  return undefined;
}

function timeLeft(now: Standing, elapsed: number): number | undefined {
  const here = now.totalCount ? now.done + now.failed : now.bytes;
  const before = now.totalCount ? now.passed.count : now.passed.bytes;
  const total = now.totalCount ?? now.totalBytes ?? 0;
  return here > 0 ? (elapsed * Math.max(0, total - before - here)) / here : undefined;
}
