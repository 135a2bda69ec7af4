import { createRequire } from 'node:module';
import { type AnyNode, children, isClass, isFunction, type Node, type Program } from './syntax';

/** What a piece of code takes from around it. */
export interface FreeVariables {
  /** Names it does not declare, in order of appearance. */
  readonly names: readonly string[];
  /** `this`, `super`, `new.target` or `arguments`, where they belong to a function around it. */
  readonly receiver: string | undefined;
  /** The first private name of a class around it. */
  readonly privateName: string | undefined;
  /** Each `import.meta`. */
  readonly importMetas: readonly Node[];
  /** Each `import(…)`. */
  readonly imports: readonly Node[];
  /** Where free variables are read or written. */
  readonly references: readonly FreeReference[];
}

export interface FreeReference {
  readonly name: string;
  readonly start: number;
  readonly end: number;
  /** `b` where it stands as `a.b`. */
  readonly member: string | undefined;
}

/** Whose `this` (and `super`, `new.target`, `arguments`) code at some place means. */
interface Place {
  readonly ownReceiver: boolean;
  readonly privateNames: ReadonlySet<string>;
}

/**
 * Finds what `node` takes from around it. `program` is all there is around: whatever it resolves does not count as
 * free, so it must declare nothing but a wrapper's own.
 */
export function freeVariables(program: Program, node: Node, sourceType: 'script' | 'module'): FreeVariables {
  // Loaded on first use, and by a require of our own: where hooks load this file as the import of an ES module, the
  // given one cannot load eslint-scope on Node 20 (a package.json among what it requires).
  const { analyze } = createRequire(__filename)('eslint-scope') as typeof import('eslint-scope');
  const scopes = analyze(program, { ecmaVersion: 2022, sourceType, ignoreEval: true });
  const inside = (found: { start: number; end: number }) =>
    found.start >= node.start && found.end <= node.end;
  const names = new Set<string>();
  const references: FreeReference[] = [];
  const members = new Map<number, string>();
  collectMembers(node, members);
  for (const { identifier } of scopes.globalScope.through) {
    if (!inside(identifier)) continue;
    names.add(identifier.name);
    const { name, start, end } = identifier;
    references.push({ name, start, end, member: members.get(start) });
  }
  const ambient = walk(node as AnyNode, { ownReceiver: false, privateNames: new Set() });
  // A wrapper function's `arguments`: what an arrow function read from the function around it.
  const outerArguments = scopes.scopes
    .filter(({ block }) => block.start < node.start && isFunction(block))
    .some(scope => scope.set.get('arguments')?.references.some(({ identifier }) => inside(identifier)));
  return {
    names: [...names],
    references,
    receiver: ambient.receiver ?? (outerArguments ? 'arguments' : undefined),
    privateName: ambient.privateName,
    importMetas: ambient.importMetas,
    imports: ambient.imports,
  };
}

interface Ambient {
  receiver: string | undefined;
  privateName: string | undefined;
  readonly importMetas: Node[];
  readonly imports: Node[];
}

/** For each `a.b`, where `a` starts, and `b`. */
function collectMembers(node: Node, members: Map<number, string>): void {
  for (const child of children(node)) {
    if (child.type === 'MemberExpression' && !child.computed && child.property.type === 'Identifier') {
      members.set(child.object.start, child.property.name);
    }
    collectMembers(child, members);
  }
}

function walk(root: AnyNode, place: Place): Ambient {
  const found: Ambient = { receiver: undefined, privateName: undefined, importMetas: [], imports: [] };
  visit(root, place, found);
  return found;
}

function visit(node: AnyNode, place: Place, found: Ambient): void {
  switch (node.type) {
    case 'ThisExpression':
      if (!place.ownReceiver) found.receiver ??= 'this';
      return;
    case 'Super':
      if (!place.ownReceiver) found.receiver ??= 'super';
      return;
    case 'MetaProperty':
      if (node.meta.name === 'import') found.importMetas.push(node);
      else if (!place.ownReceiver) found.receiver ??= 'new.target';
      return;
    case 'PrivateIdentifier':
      if (!place.privateNames.has(node.name)) found.privateName ??= `#${node.name}`;
      return;
    case 'PropertyDefinition':
    case 'MethodDefinition':
      visit(node.key as AnyNode, node.computed ? place : inClass(place), found);
      if (node.value) visit(node.value as AnyNode, inClass(place), found);
      return;
    case 'StaticBlock':
      for (const child of children(node)) visit(child, inClass(place), found);
      return;
    case 'ClassBody': {
      const privateNames = new Set(place.privateNames);
      for (const { type, ...member } of node.body) {
        if (type === 'StaticBlock' || !('key' in member)) continue;
        if (member.key.type === 'PrivateIdentifier') privateNames.add(member.key.name);
      }
      for (const child of children(node)) visit(child, { ...place, privateNames }, found);
      return;
    }
    default: {
      if (node.type === 'ImportExpression') found.imports.push(node);
      const own = isFunction(node) && node.type !== 'ArrowFunctionExpression';
      const inner = own ? inClass(place) : place;
      for (const child of children(node)) visit(child, inner, found);
    }
  }
}

function inClass(place: Place): Place {
  return { ...place, ownReceiver: true };
}

/** Whether a method's or field's own text says `super`: outside of its class or object that has no meaning. */
export function usesSuper(node: Node): boolean {
  for (const child of children(node)) {
    if (child.type === 'Super') return true;
    if (isClass(child) || child.type === 'ObjectExpression') continue;
    if (isFunction(child) && child.type !== 'ArrowFunctionExpression') continue;
    if (usesSuper(child)) return true;
  }
  return false;
}
