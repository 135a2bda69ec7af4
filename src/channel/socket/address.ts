import { Buffer } from 'node:buffer';
import { inspect } from 'node:util';

/**
 * Where a {@link Listener} listens. A string is the path of a Unix socket; one that begins with a NUL is an abstract name, which is no file
 * and is gone with its listener. An object means TCP: a name or an IP address, and a port.
 */
export type Address =
  | string
  | {
      /** A name or an IP address of this machine to listen at, or of the one to connect to. */
      host: string;
      /** From 0 to 65535; 0 has the system choose one that is free. */
      port: number;
    };

/** As native code takes it. */
export interface Place {
  readonly where: Uint8Array | string;
  readonly port: number;
}

/** What the kernel has room for, with the NUL at the end of a path. */
const LONGEST_PATH = 107;
const MOST_PORT = 65_535;

/** @throws {TypeError | RangeError} It is none. */
export function checkAddress(address: Address): Address {
  if (typeof address === 'string') {
    const length = Buffer.byteLength(address) - (address.startsWith('\0') ? 1 : 0);
    if (length === 0)
      throw new RangeError(
        'Cannot use an empty "address": give the path of a Unix socket, or { host, port }',
      );
    if (length > LONGEST_PATH)
      throw new RangeError(
        `Cannot use an "address" of ${length} bytes as Unix sockets have ${LONGEST_PATH} at most: give a shorter path`,
      );
    if (address.indexOf('\0', 1) > 0 && !address.startsWith('\0'))
      throw new RangeError(`Cannot use ${inspect(address)} as "address" as a path has no NUL: leave it out`);
    return address;
  }
  const { host, port } = (address ?? {}) as { host?: unknown; port?: unknown };
  if (typeof host !== 'string' || typeof port !== 'number')
    throw new TypeError(
      `Cannot use ${inspect(address)} as "address": give the path of a Unix socket, or { host, port }`,
    );
  if (!(Number.isInteger(port) && port >= 0 && port <= MOST_PORT))
    throw new RangeError(`Cannot use ${port} as "port": give a whole number from 0 to ${MOST_PORT}`);
  return { host, port };
}

export function isPath(address: Address): address is string {
  return typeof address === 'string' && !address.startsWith('\0');
}

/** The places that an address names, the likeliest first. @throws What the look-up of a name came to. */
export async function placesOf(address: Address): Promise<Place[]> {
  if (typeof address === 'string') return [{ where: Buffer.from(address), port: 0 }];
  const { host, port } = address;
  const { lookup } = await import('node:dns/promises'); // only those who need it are to load it
  const found = await lookup(host, { all: true });
  return found.map(one => ({ where: one.address, port }));
}

/** For people to read. */
export function addressText(address: Address): string {
  if (typeof address === 'string') return address.startsWith('\0') ? `@${address.slice(1)}` : address;
  return hostText(address.host, address.port);
}

export function hostText(host: string, port: number): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

/** What failed, with the `code` that the kernel gave. */
export function failure(act: string, address: Address, error: unknown): Error {
  const { code, errno, message } = error as NodeJS.ErrnoException;
  const why = REASONS[code ?? ''] ?? `the system said "${message}": see the cause`;
  const wrapped = new Error(`Cannot ${act} ${addressText(address)} as ${why}`, { cause: error });
  return Object.assign(wrapped, { code, errno });
}

const REASONS: Record<string, string> = {
  ECONNREFUSED: 'nobody listens there: start the listener first, or try again later',
  ENOENT: 'there is no such file or folder: start the listener first, or correct the path',
  EACCES: 'this user may not: see who owns it, or its folder',
  ENOTFOUND: 'no such host is known: correct the name',
  EADDRNOTAVAIL: 'that is no address of this machine: use one that is',
  EMFILE:
    'this process has as many files and sockets open as it may: close some, or raise the limit (ulimit -n)',
};
