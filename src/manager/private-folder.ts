import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

/*
 * Where the Unix sockets of servers lie that were not given an address: each in a folder that only its user may look into. Its name
 * says whose it is: the process, when that began, and among which processes its number counts.
 */

const PREFIX = 'manyhands-manager';
/** Longest path of a Unix socket. */
const LONGEST = 107;
const SOCKET = 'socket';

/** Makes one, and removes those whose processes have ended without doing so. The path of the socket in it. */
export function makePrivateSocket(): string {
  const place = roomyPlace();
  sweep(place);
  const begun = startTimeOf(process.pid);
  const folder = mkdtempSync(path.join(place, `${PREFIX}-${space()}-${process.pid}-${begun}-`));
  return path.join(folder, SOCKET);
}

/** Those that this process removes as it ends, if nobody has before; and which process that is, as forks of it have a copy. */
const kept = new Map<string, number>();

/** Has it removed when this process ends by itself. */
export function removeAtExit(socket: unknown): void {
  if (!isPrivate(socket)) return;
  if (kept.size === 0) process.on('exit', removeAll);
  kept.set(socket, process.pid);
}

function removeAll(): void {
  for (const [socket, pid] of kept) if (pid === process.pid) removePrivateSocket(socket);
}

function isPrivate(socket: unknown): socket is string {
  return (
    typeof socket === 'string' &&
    path.basename(socket) === SOCKET &&
    path.basename(path.dirname(socket)).startsWith(`${PREFIX}-`)
  );
}

/** Removes it, if it is there. Any other path is left alone. */
export function removePrivateSocket(socket: unknown): void {
  if (!isPrivate(socket)) return;
  rmSync(path.dirname(socket), { recursive: true, force: true });
  if (kept.delete(socket) && kept.size === 0) process.off('exit', removeAll);
}

function roomyPlace(): string {
  const place = tmpdir();
  return place.length + PREFIX.length + 60 < LONGEST ? place : '/tmp';
}

function sweep(place: string): void {
  for (const name of readdirSync(place)) {
    if (!name.startsWith(`${PREFIX}-${space()}-`)) continue;
    const [pid, begun] = name.slice(`${PREFIX}-${space()}-`.length).split('-');
    if (startTimeOf(Number(pid)) === begun) continue;
    try {
      rmSync(path.join(place, name), { recursive: true, force: true });
    } catch {
      // It is another user's.
    }
  }
}

/** The namespace of process numbers. */
function space(): string {
  try {
    return /\d+/.exec(readlinkSync('/proc/self/ns/pid'))?.[0] ?? '0';
  } catch {
    return '0';
  }
}

function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}
