const SEEDS = [0x811c9dc5, 0x2545f491];

/**
 * 62 bits of a key, as 32 and 30. Two runs of FNV-1a over its UTF-16 units from different seeds, each finished as in
 * MurmurHash3 (G. Fowler, L. Noll, K.-P. Vo; A. Appleby).
 */
export function keyHash(key: string | number): [low: number, high: number] {
  const text = typeof key === 'string' ? `s${key}` : `n${Object.is(key, -0) ? 0 : key}`;
  const [low, high] = SEEDS.map(seed => {
    let hash = seed;
    for (let i = 0; i < text.length; i++)
      hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193) ^ (hash >>> 15);
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return hash ^ (hash >>> 16);
  });
  return [low | 0, high & 0x3fffffff];
}
