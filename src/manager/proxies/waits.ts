import type { WaitOptions } from '../../wait/options.js';

/** What of a wait's options goes to the server, as arguments: its time. Running out of it is the server's to see. */
export function timeOf(options: WaitOptions | undefined): { timeout: number }[] {
  return options?.timeout === undefined ? [] : [{ timeout: options.timeout }];
}

/** What of them stays here: the signal, of which the call tells the server. */
export function signalOf(options: WaitOptions | undefined): WaitOptions | undefined {
  return options?.signal === undefined ? undefined : { signal: options.signal };
}

/** Why a form of a method that blocks is not had. */
export function cannotBlock(kind: string, method: string, instead: string): Promise<never> {
  return Promise.reject(
    new TypeError(
      `Cannot call ${method}() of a manager's ${kind} as nothing there may block: call ${instead}() and await it`,
    ),
  );
}
