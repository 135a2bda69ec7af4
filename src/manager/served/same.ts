import { isDeepStrictEqual, types } from 'node:util';

/**
 * Are two values the same, as values that came from elsewhere can be? Numbers, strings and their like by value, NaN being NaN and 0
 * being -0; plain objects, arrays, Maps, Sets, Dates, regular expressions and bytes by what is in them. Objects of other classes,
 * served ones among them, and functions only if they are one: what such an object keeps to itself cannot be seen.
 */
export function same(one: unknown, other: unknown): boolean {
  return alike(one, other, undefined);
}

/** `compared`: those under comparison, each with what it is compared with, as values may contain themselves. */
function alike(one: unknown, other: unknown, compared: Map<object, object> | undefined): boolean {
  if (one === other) return true;
  if (typeof one !== 'object' || typeof other !== 'object' || one === null || other === null)
    return Object.is(one, other);
  const prototype = Object.getPrototypeOf(one);
  if (prototype !== Object.getPrototypeOf(other)) return false;
  if (types.isDate(one) || types.isRegExp(one) || types.isAnyArrayBuffer(one) || ArrayBuffer.isView(one))
    return isDeepStrictEqual(one, other);
  const within = compared ?? new Map();
  if (within.get(one) === other) return true;
  within.set(one, other);
  if (prototype === Array.prototype) {
    const [left, right] = [one as unknown[], other as unknown[]];
    return left.length === right.length && left.every((item, index) => alike(item, right[index], within));
  }
  if (prototype === Map.prototype) {
    const [left, right] = [one as Map<unknown, unknown>, other as Map<unknown, unknown>];
    if (left.size !== right.size) return false;
    for (const [key, value] of left)
      if (!right.has(key) || !alike(value, right.get(key), within)) return false;
    return true;
  }
  if (prototype === Set.prototype) return isDeepStrictEqual(one, other);
  if (prototype !== Object.prototype && prototype !== null) return false;
  const [left, right] = [one as Record<string, unknown>, other as Record<string, unknown>];
  const keys = Object.keys(left);
  return (
    keys.length === Object.keys(right).length &&
    keys.every(key => Object.hasOwn(right, key) && alike(left[key], right[key], within))
  );
}
