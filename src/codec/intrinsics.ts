/**
 * Objects of the language and of Node that exist once in each process: each crosses as its name. (Their functions are
 * functions like any other to `describeFunction`.)
 */
const NAMES = [
  'globalThis',
  'console',
  'process',
  'Math',
  'JSON',
  'Reflect',
  'Atomics',
  'Intl',
  'WebAssembly',
] as const;

const scope = globalThis as unknown as Record<string, object>;
const names = new Map<object, string>(NAMES.map(name => [scope[name], name]));

export function intrinsicName(object: object): string | undefined {
  return names.get(object);
}

export function intrinsicNamed(name: string): object | undefined {
  return (NAMES as readonly string[]).includes(name) ? scope[name] : undefined;
}
