/*
 * Ranks as two words that compare as they do: the first as a signed number, then the second as one without a sign.
 */
const number = new Float64Array(1);
const halves = new Int32Array(number.buffer);

/** Writes a rank, any but NaN, as two words. */
export function writeRank(words: Int32Array, at: number, rank: number): void {
  number[0] = rank + 0; // −0 is 0
  const high = halves[1];
  // Of negative numbers, the bits below the sign grow as the number falls.
  words[at] = high < 0 ? high ^ 0x7fffffff : high;
  words[at + 1] = high < 0 ? ~halves[0] : halves[0];
}

export function readRank(words: Int32Array, at: number): number {
  const high = words[at];
  halves[1] = high < 0 ? high ^ 0x7fffffff : high;
  halves[0] = high < 0 ? ~words[at + 1] : words[at + 1];
  return number[0];
}
