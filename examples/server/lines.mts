/** What is spoken on all connections here: lines there, lines back. */
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { pipeline } from 'node:stream/promises';

/** Answers each line of a client, one after the other, until it has no more. If it breaks off, that is its own affair. */
export async function converse(socket: Socket, answer: (line: string) => string | Promise<string>) {
  const answers = async function* (lines: AsyncIterable<string>) {
    for await (const line of lines) yield `${await answer(line)}\n`;
  };
  await pipeline(createInterface({ input: socket }), answers, socket).catch(() => {});
}
