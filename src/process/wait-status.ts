import os from 'node:os';
import type { End } from './execution.js';

/** By number. Of those with two names the first counts: SIGABRT, not SIGIOT. */
const SIGNALS = new Map(
  Object.entries(os.constants.signals)
    .map(([name, number]) => [number, name as NodeJS.Signals] as const)
    .reverse(),
);
/** The first of the real-time signals, for which Node has no names. */
const SIGRTMIN = 34;

/** What a wait status says. */
export function endOf(status: number): End {
  const signal = status & 0x7f;
  if (signal === 0) return { exitCode: (status >> 8) & 0xff, signalCode: null };
  return {
    exitCode: null,
    signalCode: SIGNALS.get(signal) ?? (`SIGRTMIN+${signal - SIGRTMIN}` as NodeJS.Signals),
  };
}
