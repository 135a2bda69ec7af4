import zlib from 'node:zlib';

/** Checksum of the bytes (CRC-32 as in zlib and Ethernet); with `seed`, the checksum so far, goes on from there. Unsigned. */
export const crc32: (bytes: Uint8Array, seed?: number) => number = zlib.crc32 ?? crc32ByTable;

/** For Node 20.0 to 20.14, whose zlib does not offer its own: the same numbers. */
export function crc32ByTable(bytes: Uint8Array, seed = 0): number {
  let crc = ~seed;
  for (let i = 0; i < bytes.length; i++) crc = TABLE[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
}

const POLYNOMIAL = 0xedb88320;

const TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
  return crc;
});
