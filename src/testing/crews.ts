import { CARRIERS, warmUp } from '../pool/fixtures/carriers.js';
import { Pool } from '../pool/pool.js';
import { carriers, warm } from '../process/fixtures/methods.js';
import type { Process } from '../process/process.js';

/** Several that run the same function at once, each a process or thread of its own. */
export interface Crew {
  readonly crew: string;
  /** What each of `count` returned. */
  run<A extends readonly unknown[], R>(
    count: number,
    target: (...args: A) => R,
    args: A,
  ): Promise<Awaited<R>[]>;
}

/** Spawned workers are spawned processes, which have a crew of their own; MANYHANDS_CARRIERS=all has these as well. */
function isUsual({ options }: (typeof CARRIERS)[number]): boolean {
  return process.env.MANYHANDS_CARRIERS === 'all' || options.context?.method !== 'spawn';
}

/** One of each sort: what is shared by the commons is to work between all of them. */
export const CREWS: readonly Crew[] = [
  ...[...carriers].map(
    ([method, Carrier]): Crew => ({
      crew: `processes by ${method}`,
      run: (count, target, args) =>
        Promise.all(
          Array.from({ length: count }, () => new Carrier({ target, args }).start().result()),
        ) as Promise<never>,
    }),
  ),
  ...CARRIERS.filter(isUsual).map(
    ({ carrier, options }): Crew => ({
      crew: `a pool of ${carrier}`,
      async run(count, target, args) {
        await using pool = new Pool(count, options);
        return await Promise.all(Array.from({ length: count }, () => pool.run(target, args)));
      },
    }),
  ),
];

/** A process by the fork server, which a test may kill. */
export function start<A extends readonly unknown[]>(
  target: (...args: A) => unknown,
  ...args: A
): Process<any, any> {
  const Carrier = carriers.get('forkserver') as typeof Process;
  return new Carrier({ target, args }).start();
}

/** For leavesNothing(): starts what the library keeps for as long as a process lives. */
export async function warmCrews(): Promise<void> {
  await warm();
  await warmUp();
}
