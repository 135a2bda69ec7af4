import { inspect } from 'node:util';

/**
 * One line of JSON that tells of an input whose result is missing: `{input, name, message, stack}`.
 *
 * `stack` goes on with the stacks of the error's causes. Something thrown that is no Error has the name `Thrown`,
 * what `inspect` shows of it as its message, and no stack (null).
 */
export function failureLine(input: unknown, thrown: unknown): string {
  const told =
    thrown instanceof Error
      ? { name: String(thrown.name), message: String(thrown.message), stack: stackOf(thrown) }
      : { name: 'Thrown', message: typeof thrown === 'string' ? thrown : inspect(thrown), stack: null };
  return JSON.stringify({ input, ...told });
}

function stackOf(error: Error): string {
  const parts = [error.stack ?? `${error.name}: ${error.message}`];
  const seen = new Set<unknown>([error]);
  for (let cause = error.cause; cause !== undefined && !seen.has(cause); ) {
    seen.add(cause);
    parts.push(`caused by: ${cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause)}`);
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return parts.join('\n');
}
