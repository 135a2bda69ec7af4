/** Any function or class. */
export type AnyFunction = CallableFunction | NewableFunction;

/** Where a function or class can be imported: its module, and the way to it from the module's namespace. */
export interface Reference {
  readonly kind: 'reference';
  /** A `file:` URL, a builtin (`node:fs`), or `globalThis`. */
  readonly module: string;
  /** Export name, then property names: `['Shape', 'prototype', 'area']`. */
  readonly path: readonly string[];
}

/** A captured variable: its value now, or the import it is bound to (`'*'` is the namespace). */
export type Capture =
  | { readonly name: string; readonly value: unknown }
  | { readonly name: string; readonly module: string; readonly export: string };

/** What must stand around a source for it to evaluate to the function. */
export type SourceForm = 'expression' | 'declaration' | 'method' | 'getter' | 'setter' | 'class';

/** A function or class to be compiled again from its source, with the values it captures. */
export interface Source {
  readonly kind: 'source';
  /** The same object again where nothing but values differs: what is known of it is kept by that object. */
  readonly shell: SourceShell;
  /** In the order of the shell's. */
  readonly captures: readonly Capture[];
}

/** All that is to be known of a function but for the values it captures. Plain data. */
export interface SourceShell {
  /** What `toString()` gave. */
  readonly source: string;
  readonly form: SourceForm;
  /** The text to compile, where that is not `source` itself: what needs captured variables early is taken out of it. */
  readonly code?: string;
  /** The script it came from: for stack traces, and as the base of `import()` and `require()`. */
  readonly url: string;
  /** Zero-based position of the source in that script. */
  readonly line: number;
  readonly column: number;
  readonly strict: boolean;
  readonly name: string;
  /** The variable a declaration makes: `name`, unless that was changed. */
  readonly declared?: string;
  readonly late?: LateSteps;
  /** The variable `code` reads for `import.meta`. */
  readonly meta?: string;
  /** The variable `code` calls for `import(…)`. */
  readonly importer?: string;
  /** Variables holding a CommonJS `require`: made anew for `url`. */
  readonly requires?: readonly string[];
  readonly captures: readonly CapturedName[];
}

/** A captured variable, without its value; what is imported has none. */
export interface CapturedName {
  readonly name: string;
  readonly module?: string;
  readonly export?: string;
}

/** Steps of a class definition that need captured variables, and so run when those have their values. */
export interface LateSteps {
  /** The variable through which static initialisers register themselves, in order. */
  readonly register: string;
  /** The captured variable that holds the base class, or null. */
  readonly heritage?: string;
  /** Computed member names: what holds their place in `code`, and the captured variables that hold them. */
  readonly keys: readonly { readonly placeholder: string; readonly variable: string }[];
}

export type FunctionDescription = Reference | Source;
