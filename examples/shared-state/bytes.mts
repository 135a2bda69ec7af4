/*
 * Bytes in shared memory, where three children write upper case into one text, each into its part. Nothing is sent,
 * nothing is copied. The `value` of an array of type 'c' is what stands before the first NUL, as with strings in C.
 */

import { Process, SharedArray } from 'manyhands';

const text = new SharedArray('c', Buffer.from('many hands make light work'));

const upperCase = (from: number, to: number) => {
  const part = text.view.subarray(from, to); // the same memory
  part.set(Buffer.from(Buffer.from(part).toString().toUpperCase()));
};
const replace = (by: string) => {
  text.value = Buffer.from(by);
};

const children = [
  new Process({ target: upperCase, args: [0, 4] }).start(),
  new Process({ target: upperCase, args: [5, 10] }).start(),
  new Process({ target: upperCase, args: [21, 26] }).start(),
];
await Promise.all(children.map(child => child.result()));
console.log(text.value.toString());

await new Process({ target: replace, args: ['done'] }).start().result();
console.log(text.value.toString());
console.log(Buffer.from(text.view).toString().replace('\0', '·')); // the rest is still there

// Output:
// MANY HANDS make light WORK
// done
// done·HANDS make light WORK
