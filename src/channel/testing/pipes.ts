import { waitUntil } from '../../testing/processes.js';
import { waiting } from '../../wait/line.js';
import type { Connection } from '../connection.js';
import { EXCHANGE } from '../exchange.js';
import type { PipeEnd } from '../pipe-end.js';
import { EXCHANGES_AT } from '../wire.js';

/* For tests of pipes: who waits, and what the ends are worth. */

/** How many stand in line to receive at this end. */
export function receivers(connection: Connection): number {
  const { wire, end } = connection as PipeEnd;
  return waiting(wire.cell.at + EXCHANGES_AT[end] + EXCHANGE.PUTS).length;
}

/** How many stand in line to send from this end. */
export function senders(connection: Connection): number {
  const { wire, end } = connection as PipeEnd;
  return waiting(wire.cell.at + EXCHANGES_AT[1 - end] + EXCHANGE.TAKES).length;
}

/** How many messages lie unread on their way from this end. */
export function unread(connection: Connection): number {
  const { wire, end } = connection as PipeEnd;
  return wire.to(1 - end).count;
}

export function untilReceiving(connection: Connection, count: number): Promise<void> {
  return waitUntil(
    () => receivers(connection) === count,
    () => `${count} to wait for messages, not ${receivers(connection)}`,
    30_000,
  );
}

export function untilSending(connection: Connection, count: number): Promise<void> {
  return waitUntil(
    () => senders(connection) === count,
    () => `${count} to wait for room, not ${senders(connection)}`,
    30_000,
  );
}

/** Closes all that are open still. */
export function closeAll(...connections: Connection[]): void {
  for (const connection of connections) connection.close();
}
