import { inspect } from 'node:util';

/** Where a server listens: the path of a Unix socket (a leading NUL makes it an abstract one), or host and port. */
export type Address = string | { host: string; port: number };

/** An address as text, the same for the same. */
export function placeOf(address: Address): string {
  if (typeof address === 'string') return address.replace('\0', '@');
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;
}

/** @throws {TypeError | RangeError} It is none. */
export function checkAddress(address: unknown): Address {
  if (typeof address === 'string') {
    if (address === '') throw new RangeError('Cannot use "" as "address": give the path of a Unix socket');
    return address;
  }
  const { host, port } = (address ?? {}) as { host?: unknown; port?: unknown };
  if (typeof host !== 'string' || typeof port !== 'number')
    throw new TypeError(
      `Cannot use ${inspect(address)} as "address": give the path of a Unix socket, or { host, port }`,
    );
  if (!Number.isInteger(port) || port < 0 || port > 65535)
    throw new RangeError(`Cannot use ${port} as "port": give a whole number up to 65535`);
  return { host, port };
}
