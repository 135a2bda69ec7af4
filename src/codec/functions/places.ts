import type { Capture, SourceShell } from './description';
import type { FreeReference } from './free-variables';
import type { Location } from './inspect';
import type { ImportBinding } from './module-syntax';
import type { ComputedMember } from './prepare';

/** What does not change about a function that crosses by value, and but for `isOfPlace` is one function's alone. */
export interface Analysis {
  readonly kind: 'source';
  /** As it was last: which variables hold imports may change. */
  shell: SourceShell;
  readonly meta: string | undefined;
  readonly importer: string | undefined;
  readonly members: readonly ComputedMember[];
  readonly free: readonly string[];
  /** Free names, but for those that are globals. */
  readonly names: readonly string[];
  /** Those of the free names that its module imports. */
  readonly imports: ReadonlyMap<string, ImportBinding>;
  /** What those imports are; null: of the entry module, and so to be taken by value. */
  readonly resolved: Map<string, Capture | null>;
  /** Variables that are undefined only as long as they have no value yet. */
  readonly initialised: ReadonlySet<string>;
  readonly references: readonly FreeReference[];
  readonly scriptUrl: string;
  readonly scriptId: string;
  /** The variable of the script's outermost scope that the function is the declaration or initialiser of. */
  readonly topLevel: string | undefined;
  /** It is true of all functions that are made at that place in the script and have the same variables. */
  readonly isOfPlace: boolean;
  /** It uses nothing but what every program has, and no scope can have taken the place of that. */
  readonly isClosed: boolean;
}

/** How many places are remembered; the one that came first goes first. */
const KEPT = 1024;

const places = new Map<string, Analysis>();

/** What is known of functions that are made where this one is. V8 gives no two scripts the same id. */
export function placed(location: Location): Analysis | undefined {
  return places.get(keyOf(location));
}

export function remember(location: Location, analysis: Analysis): void {
  places.set(keyOf(location), analysis);
  if (places.size <= KEPT) return;
  for (const oldest of places.keys()) {
    places.delete(oldest);
    break;
  }
}

function keyOf({ script, line, column }: Location): string {
  return `${script.id}:${line}:${column}`;
}
