import { SerializationError } from '../errors/errors.js';

/** The name of a captured variable, which begins a path of its own. */
interface CaptureStep {
  readonly capture: string;
}
/** The key of an own property. It is put in form last of all: steps are noted where the stack may be at its end. */
interface PropertyStep {
  readonly key: string;
}
type Step = string | PropertyStep | CaptureStep;

/**
 * Why something cannot cross. It is thrown at the culprit and collects the way to it while the stack unwinds, so
 * that encoding without failure pays nothing for paths.
 */
export class Failure {
  readonly #state: string;
  readonly #wayOut: string;
  readonly cause: unknown;
  /** Innermost first. */
  readonly #steps: Step[] = [];
  /** The error object, and the property of it, that could be left out for the rest to cross: see `errors.ts`. */
  culprit: { readonly error: object; readonly key: string } | undefined;

  constructor(state: string, wayOut: string, cause?: unknown) {
    this.#state = state;
    this.#wayOut = wayOut;
    this.cause = cause;
  }

  add(step: Step): void {
    this.#steps.push(step);
  }

  /** Remembers that leaving out this property of `error` would help; the innermost such error counts. */
  blame(error: object): void {
    const step = this.#steps.at(-1);
    if (typeof step === 'object' && 'key' in step) this.culprit ??= { error, key: step.key };
  }

  /** The error to be thrown to the user; `root` is what the caller calls the value. */
  toError(root: string): SerializationError {
    let path = this.#pathFrom(root);
    let message = `Cannot send ${path} as ${this.#state}: ${this.#wayOut}`;
    // What the function's description says is relative to the function: its path goes on from ours.
    if (this.cause instanceof SerializationError && this.#state === '') {
      const inner = this.cause.path;
      const separator = inner === '' || /^[.[]/.test(inner) ? '' : ', ';
      const full = path === root && separator !== '' ? inner : `${path}${separator}${inner}`;
      message =
        inner !== '' && this.cause.message.includes(inner)
          ? this.cause.message.replace(inner, () => full)
          : `Cannot send ${full}: ${this.cause.message}`;
      path = full;
    }
    return new SerializationError(message, this.cause === undefined ? { path } : { path, cause: this.cause });
  }

  #pathFrom(root: string): string {
    const steps = this.#steps.toReversed();
    const shown = steps.length > 40 ? [...steps.slice(0, 20), '…', ...steps.slice(-20)] : steps;
    let path = root;
    for (const step of shown) {
      if (typeof step === 'string') path += step;
      else if ('key' in step) path += formatKey(step.key);
      else path = path === root ? step.capture : `${path}, ${step.capture}`;
    }
    // Without a root the first property has nothing to be a property of.
    return root === '' && path.startsWith('.') ? path.slice(1) : path;
  }
}

/**
 * Makes a Failure of whatever was thrown and notes one step of the way to it. Used in catch clauses:
 * `throw onTheWay(error, property(key))`.
 */
export function onTheWay(thrown: unknown, step: Step): Failure {
  const failure = toFailure(thrown);
  failure.add(step);
  return failure;
}

/** A Failure as it is; anything else as one, with `cause`. */
export function toFailure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  if (thrown instanceof RangeError && thrown.message.includes('call stack')) {
    return new Failure('it is nested too deeply', 'make it flatter, for example a list of nodes', thrown);
  }
  const said = thrown instanceof Error ? thrown.message : String(thrown);
  return new Failure(`reading it threw "${said}"`, 'mend the getter, or leave the property out', thrown);
}

export function property(key: string): PropertyStep {
  return { key };
}

/** `.name` or `["any name"]`. */
function formatKey(key: string): string {
  return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

export function index(at: number): string {
  return `[${at}]`;
}

/** `.get("k")`; keys that are objects are named by their place. */
export function mapEntry(key: unknown, at: number): string {
  if (typeof key === 'string') return `.get(${JSON.stringify(key)})`;
  if (typeof key === 'number' || typeof key === 'boolean' || key == null) return `.get(${String(key)})`;
  return `.values()[${at}]`;
}

export function capture(fn: { readonly name: unknown }, variable: string): CaptureStep {
  const name = typeof fn.name === 'string' && fn.name !== '' ? fn.name : 'a function';
  return { capture: `closure of ${name} → ${variable}` };
}
