import { PROCESS_FLAG } from '../memory/layout.js';
import { native } from '../native/native.js';

/** Limits of a process, see ProcessOptions. */
export interface Limits {
  readonly heap?: number;
  readonly cpu?: number;
}

/** With less, Node does not come up, or takes the program down with it. */
export const LEAST_HEAP = 8 * 2 ** 20;
/** Timers of CPU time go by the kernel's clock tick. */
const LEAST_CPU = 1;

/** What each limit may be, at least, and its unit. */
export type Bounds = Readonly<Record<string, readonly [least: number, unit: string]>>;

export const PROCESS_BOUNDS: Bounds = { heap: [LEAST_HEAP, 'bytes'], cpu: [LEAST_CPU, 'ms'] };

/** @throws {TypeError} {RangeError} It is none of these limits. */
export function checkLimits(limits: unknown, bounds: Bounds): void {
  if (limits === undefined) return;
  const names = Object.keys(bounds);
  if (typeof limits !== 'object' || limits === null)
    throw new TypeError(`Cannot use that as "limits": give an object, as { ${names.join(', ')} }`);
  for (const name of Object.keys(limits))
    if (!names.includes(name))
      throw new TypeError(`Cannot limit "${name}": "limits" may have ${names.join(' and ')}`);
  for (const [name, [least, unit]] of Object.entries(bounds)) {
    const value = (limits as Record<string, unknown>)[name];
    if (value === undefined) continue;
    if (typeof value !== 'number')
      throw new TypeError(`Cannot use that as "limits.${name}": give a number of ${unit}`);
    if (!(value >= least && value < Number.POSITIVE_INFINITY))
      throw new RangeError(`Cannot use ${value} as "limits.${name}": give ${least} ${unit} or more`);
  }
}

/** In a child, process record `index`: from now on they hold. */
export function applyLimits(index: number, { heap = 0, cpu = 0 }: Limits = {}): void {
  native.limitHeap(index, heap);
  if (cpu > 0) native.limitCpu(index, cpu);
}

/** How it died, as far as the `flags` of its record tell: it has gone beyond a limit. */
export function brokenLimit(flags: number, { heap, cpu }: Limits = {}): string | undefined {
  if (flags & PROCESS_FLAG.OUT_OF_HEAP) return outOfHeap(heap);
  if (flags & PROCESS_FLAG.OUT_OF_TIME) return `it used more than ${cpu} ms of CPU time`;
  return undefined;
}

export function outOfHeap(limit: number | undefined): string {
  return `its heap grew beyond ${limit === undefined ? 'what Node allows' : `${limit} bytes`}`;
}
