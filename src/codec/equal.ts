import assert from 'node:assert/strict';

/**
 * For tests: asserts that two values are alike in everything that crosses: kinds, prototypes, contents, −0, missing
 * elements, order, and which parts are one and the same object.
 */
export function assertAlike(actual: unknown, expected: unknown): void {
  assert.deepStrictEqual(actual, expected);
  assert.deepEqual(outline(actual), outline(expected));
}

/** A flat list of what a walk through the value meets; objects met again are numbers. */
function outline(value: unknown): string[] {
  const met = new Map<object, number>();
  const lines: string[] = [];
  const pending: unknown[] = [value];
  while (pending.length > 0) {
    const next = pending.pop();
    if (typeof next !== 'object' || next === null) {
      lines.push(`${typeof next} ${Object.is(next, -0) ? '-0' : String(next)}`);
      continue;
    }
    const known = met.get(next);
    lines.push(known === undefined ? Object.prototype.toString.call(next) : `#${known}`);
    if (known !== undefined) continue;
    met.set(next, met.size);
    if (next instanceof Map) for (const [key, each] of next) pending.push(each, key);
    else if (next instanceof Set) for (const each of next) pending.push(each);
    else if (ArrayBuffer.isView(next)) {
      lines.push(`${next.byteLength}`);
      pending.push(next.buffer);
      continue;
    }
    for (const key of Object.getOwnPropertyNames(next)) {
      if (key === 'stack') continue;
      lines.push(key);
      pending.push((next as Record<string, unknown>)[key]);
    }
  }
  return lines;
}
