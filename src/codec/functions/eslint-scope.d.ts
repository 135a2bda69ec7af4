/** The part of eslint-scope's interface used here; the package ships no types. */
declare module 'eslint-scope' {
  import type { Node } from 'acorn';

  export interface Reference {
    readonly identifier: { readonly name: string; readonly start: number; readonly end: number };
    readonly resolved: Variable | null;
  }
  export interface Variable {
    readonly name: string;
    readonly references: readonly Reference[];
  }
  export interface Scope {
    readonly block: Node;
    readonly through: readonly Reference[];
    readonly set: ReadonlyMap<string, Variable>;
  }
  export interface ScopeManager {
    readonly globalScope: Scope;
    readonly scopes: readonly Scope[];
  }
  export function analyze(
    tree: Node,
    options: { ecmaVersion: number; sourceType: 'script' | 'module'; ignoreEval?: boolean },
  ): ScopeManager;
}
