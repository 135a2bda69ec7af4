import { threadId } from 'node:worker_threads';
import { DeadlockError, type DeadlockWaiter } from '../errors/errors.js';
import { free } from '../memory/allocator.js';
import { words } from '../memory/commons.js';
import { SYNC } from '../memory/layout.js';
import { messageAt, storeMessage } from '../memory/message.js';
import { indexOf, isKnownDead, self } from '../memory/participants.js';
import { selfName } from '../platform/self-name.js';
import { atDeadline } from '../wait/deadlines.js';
import { NODE, NODE_STATE, nodesOf } from '../wait/nodes.js';
import type { Flow } from './flow.js';
import { keyHash } from './key-hash.js';

/*
 * Finds circles of owners that wait for one another.
 *
 * A wait for a lock that lasts longer than PATIENCE publishes in its node who waits: a blocked thread, or a flow of
 * one. From a wait one can go on: what it waits for has owners, which are in the lock's words; an owner that waits itself has
 * a wait published among its thread's nodes. Who comes back to its own wait has found a circle. Whoever closes one
 * publishes last and then looks, so it is seen; before it is believed it must still be there, with the very same waits,
 * after PATIENCE once more. Then one of those in it rejects its wait: the first to claim the wait that was published last.
 *
 * A blocked thread gives nothing back, so all it holds is stuck. A flow is stuck if something awaits the promise of
 * its wait. So no false alarm comes from code that calls acquire() early and awaits it later; one may come from a flow that
 * has other code release what it holds.
 *
 * Nothing is done for waits that are shorter, for flows that hold nothing, and for those that give up soon by themselves.
 *
 * Source: the wait-for graph and its cycles, after E. Coffman et al., "System Deadlocks" (1971).
 */
const PATIENCE = 50;
/** Waits that end by themselves within so many ms are left to that. */
const SHORT = 1000;

/** Numbers the published waits of the family. */
const TICKETS = SYNC + 1;

/** What is published: REMARKS of a node. */
const REMARK = { KIND: 0, DETAILS: 1, TICKET: 2, CLAIM: 3 } as const;
const KIND = { NONE: 0, FLOW: 1, BLOCKED: 2 } as const;

/** Who holds something: a thread, and which of its flows. */
export interface Owner {
  readonly tag: number;
  readonly flow: number;
}

/** The first word of a wait's note: its kind, and below that what only the kind understands. */
export const NOTE_KIND_SHIFT = 8;

type Blockers = (word: number, node: number) => readonly Owner[];
const blockers: Blockers[] = [];

/** Tells, for waits whose note is of `kind`, who must give something back first. */
export function registerBlockers(kind: number, find: Blockers): void {
  blockers[kind] = find;
}

interface Details extends Omit<DeadlockWaiter, 'holds'> {
  /** The flows that are stuck. */
  readonly flows: readonly number[];
  /** Does it never give up by itself? */
  readonly endless: boolean;
}

/** A wait that is published. */
interface Wait extends Details {
  readonly node: number;
  readonly tag: number;
  readonly ticket: number;
  readonly isBlocked: boolean;
}

const STACKS = !['', '0', undefined].includes(process.env.MANYHANDS_STACKS);

/** Watches over the waits of a blocked thread, one after the other. */
export class BlockedWatch {
  readonly #waitsFor: string;
  readonly #deadline: number;
  #node = 0;
  #watch: Watch | undefined;
  /** When to look (park.ts). */
  readonly looks: readonly { readonly after: number; readonly look: () => void }[];

  constructor(waitsFor: string, deadline: number) {
    this.#waitsFor = waitsFor;
    this.#deadline = deadline;
    const look = () => this.#look();
    this.looks =
      deadline - performance.now() < SHORT ? [] : [1, 2, 3].map(i => ({ after: i * PATIENCE, look }));
  }

  /** A wait begins. */
  readonly begin = (node: number): void => {
    this.#node = node;
  };

  /** It has ended. */
  end(): void {
    this.#watch?.end();
    this.#watch = undefined;
  }

  #look(): void {
    this.#watch ??= new Watch(
      this.#node,
      KIND.BLOCKED,
      describe(this.#waitsFor, [], this.#deadline, stackHere()),
    );
    const error = this.#watch.look();
    if (error) throw error;
  }
}

/** Watches over an async wait, of a flow that holds what `lineage` says. Returns how to end that; undefined: no need to. */
export function watchWait(
  node: number,
  wait: {
    readonly flow: Flow;
    readonly lineage: readonly number[];
    readonly waitsFor: string;
    readonly deadline: number;
    readonly fail: (reason: unknown) => void;
  },
): (() => void) | undefined {
  const { flow, lineage, waitsFor, deadline, fail } = wait;
  if (lineage.length === 0 || deadline - performance.now() < SHORT) return undefined;
  const stack = stackHere();
  let watch: Watch | undefined;
  let cancel: (() => void) | undefined;
  const lookLater = () => {
    cancel = atDeadline(performance.now() + PATIENCE, look, false);
  };
  const look = () => {
    watch ??= new Watch(node, KIND.FLOW, describe(waitsFor, lineage, deadline, stack));
    const error = watch.look();
    if (error) fail(error);
    else if (watch.isSuspicious) lookLater();
  };
  if (flow.isAwaited) lookLater();
  else flow.onAwaited = lookLater;
  return () => {
    flow.onAwaited = undefined;
    cancel?.();
    watch?.end();
  };
}

/** For a thread that would wait for itself. */
export function selfDeadlock(waitsFor: string): DeadlockError {
  const details = describe(waitsFor, [], Number.POSITIVE_INFINITY, stackHere());
  return errorFor([details]);
}

/** A published wait that looks whether it can end. */
class Watch {
  readonly #node: number;
  readonly #details: number;
  #suspected = '';

  constructor(node: number, kind: number, details: Details) {
    this.#node = node;
    const at = node + NODE.REMARKS;
    this.#details = storeMessage(Buffer.from(JSON.stringify(details)), self());
    words[at + REMARK.DETAILS] = this.#details;
    words[at + REMARK.TICKET] = Atomics.add(words, TICKETS, 1);
    words[at + REMARK.CLAIM] = 0;
    // SYNC POINT with other watches: published first, then the look.
    Atomics.store(words, at + REMARK.KIND, kind);
  }

  /** Has the last look found a circle that is yet to be confirmed? */
  get isSuspicious(): boolean {
    return this.#suspected !== '';
  }

  /** The error with which the wait is to end. */
  look(): DeadlockError | undefined {
    const circle = circleFrom(this.#node);
    if (!circle) {
      this.#suspected = '';
      return undefined;
    }
    const latestFirst = [...circle].sort((a, b) => (b.ticket - a.ticket) | 0);
    const key = latestFirst.map(({ ticket }) => ticket).join();
    if (key !== this.#suspected) {
      this.#suspected = key;
      return undefined;
    }
    // One wait may be part of several circles: what is claimed is the circle.
    const claim = keyHash(key)[0] | 1;
    const at = latestFirst[0].node + NODE.REMARKS + REMARK.CLAIM;
    const claimed = Atomics.load(words, at);
    if (claimed === claim || Atomics.compareExchange(words, at, claimed, claim) !== claimed) return undefined;
    return errorFor(circle);
  }

  end(): void {
    Atomics.store(words, this.#node + NODE.REMARKS + REMARK.KIND, KIND.NONE);
    free(this.#details);
  }
}

/** The published wait of a node, if it has one and still waits. */
function read(node: number): Wait | undefined {
  const at = node + NODE.REMARKS;
  const kind = Atomics.load(words, at + REMARK.KIND);
  if (kind === KIND.NONE || Atomics.load(words, node + NODE.STATE) !== NODE_STATE.WAITING) return undefined;
  const ticket = Atomics.load(words, at + REMARK.TICKET);
  const tag = words[node + NODE.OWNER];
  let details: Details;
  try {
    details = JSON.parse(Buffer.from(messageAt(words[at + REMARK.DETAILS] >>> 0)).toString()) as Details;
  } catch {
    return undefined; // it ended meanwhile, and its block serves another
  }
  if (Atomics.load(words, at + REMARK.KIND) !== kind || Atomics.load(words, at + REMARK.TICKET) !== ticket)
    return undefined;
  return { ...details, node, tag, ticket, isBlocked: kind === KIND.BLOCKED };
}

/** Those who wait for one another, from the wait of `node` on. */
function circleFrom(node: number): Wait[] | undefined {
  const own = read(node);
  if (!own) return undefined;
  const seen = new Set([node]);
  const follow = (wait: Wait): Wait[] | undefined => {
    for (const owner of ownersBefore(wait)) {
      if (isStuckBy(own, owner) && (wait !== own || isStuckAlone(own))) return [wait];
      for (const next of waitsOf(owner)) {
        if (seen.has(next.node)) continue;
        seen.add(next.node);
        const rest = follow(next);
        if (rest) return [wait, ...rest];
      }
    }
    return undefined;
  };
  return follow(own);
}

function ownersBefore({ node }: Wait): readonly Owner[] {
  const word = words[node + NODE.WORD];
  return (blockers[words[node + NODE.NOTE] >>> NOTE_KIND_SHIFT]?.(word, node) ?? []).filter(
    ({ tag }) => !isKnownDead(tag),
  );
}

function waitsOf(owner: Owner): Wait[] {
  const waits: Wait[] = [];
  for (const node of nodesOf(indexOf(owner.tag))) {
    if (words[node + NODE.OWNER] !== owner.tag) break; // it has ended, and its nodes are anything by now
    const wait = read(node);
    if (wait && isStuckBy(wait, owner)) waits.push(wait);
  }
  return waits;
}

/** Is it for ever that it waits for its own owner alone? A Lock may be released by anyone, if its thread is not blocked. */
function isStuckAlone({ node, isBlocked, endless }: Wait): boolean {
  return endless && (isBlocked || words[node + NODE.NOTE] >>> NOTE_KIND_SHIFT !== 0);
}

/** Does this owner give nothing back while `wait` lasts? */
function isStuckBy(wait: Wait, owner: Owner): boolean {
  return wait.tag === owner.tag && (wait.isBlocked || wait.flows.includes(owner.flow));
}

function describe(
  waitsFor: string,
  flows: readonly number[],
  deadline: number,
  stack: string | undefined,
): Details {
  return {
    pid: process.pid,
    threadId,
    name: selfName(),
    waitsFor,
    ...(stack === undefined ? {} : { stack }),
    flows,
    endless: deadline === Number.POSITIVE_INFINITY,
  };
}

function stackHere(): string | undefined {
  return STACKS ? new Error('waits').stack?.replace(/^.*\n/, '') : undefined;
}

function errorFor(circle: readonly Details[]): DeadlockError {
  const cycle = circle.map(({ pid, threadId, name, waitsFor, stack }, i) => ({
    pid,
    threadId,
    name,
    waitsFor,
    holds: circle[(i + circle.length - 1) % circle.length].waitsFor,
    ...(stack === undefined ? {} : { stack }),
  }));
  const story = cycle.map(
    ({ name, pid, holds, waitsFor }) => `${name} (${pid}) holds ${holds} and waits for ${waitsFor}`,
  );
  return new DeadlockError(
    `Cannot acquire ${cycle[0].waitsFor} as that would never end: ${story.join('; ')}: acquire locks in the same order everywhere`,
    { cycle },
  );
}
