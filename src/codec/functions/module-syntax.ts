import { type AnyNode, chainTo, isClass, isFunction, type Node, type Program, parseScript } from './syntax';

/** What a local name of a module is imported from; `name` is `'*'` for a namespace. */
export interface ImportBinding {
  readonly specifier: string;
  readonly name: string;
}

/** One export of a module: the local variable behind it, or the expression (`export default …`). */
export interface ExportBinding {
  readonly name: string;
  readonly local?: string;
  readonly node?: Node;
}

/** The syntax of a whole script, in as far as its functions need it. */
export class ModuleSyntax {
  readonly text: string;
  readonly program: Program;
  readonly imports: ReadonlyMap<string, ImportBinding>;
  readonly exports: readonly ExportBinding[];
  #lineStarts: number[] | undefined;

  /** Text that acorn cannot parse counts as empty: V8 may know newer syntax. */
  constructor(text: string, sourceType: 'script' | 'module') {
    this.text = text;
    this.program = parseOrEmpty(text, sourceType);
    this.imports = importsOf(this.program);
    this.exports = exportsOf(this.program);
  }

  /** The index in the text of a zero-based position. */
  offset(line: number, column: number): number {
    this.#lineStarts ??= lineStarts(this.text);
    return (this.#lineStarts[line] ?? this.text.length) + column;
  }

  /** The zero-based position of an index in the text. */
  position(offset: number): { line: number; column: number } {
    this.#lineStarts ??= lineStarts(this.text);
    let line = this.#lineStarts.findLastIndex(start => start <= offset);
    line = Math.max(line, 0);
    return { line, column: offset - (this.#lineStarts[line] ?? 0) };
  }

  /** Whether code in `[start, end)` is strict by what surrounds it. */
  strictAt(start: number, end: number): boolean {
    return chainTo(this.program, start, end).some(
      node => isClass(node) || (isFunction(node) || node.type === 'Program' ? hasDirective(node) : false),
    );
  }

  /** The name that exactly `[start, end)` declares as a function: a variable of the scope around it. */
  declaredAt(start: number, end: number): string | undefined {
    const node = chainTo(this.program, start, end).find(
      each => each.type === 'FunctionDeclaration' && each.start === start && each.end === end,
    );
    return node?.type === 'FunctionDeclaration' ? node.id?.name : undefined;
  }

  /** The variable of the outermost scope that exactly `[start, end)` declares as a function, or initialises. */
  topLevelName(start: number, end: number): string | undefined {
    const isHere = (node: Node | null | undefined) => node?.start === start && node.end === end;
    for (const statement of this.program.body) {
      const isExport =
        statement.type === 'ExportNamedDeclaration' || statement.type === 'ExportDefaultDeclaration';
      const node = isExport ? (statement.declaration as AnyNode | null) : (statement as AnyNode);
      if (node?.type === 'FunctionDeclaration' && isHere(node)) return node.id?.name;
      if (node?.type !== 'VariableDeclaration') continue;
      const found = node.declarations.find(({ id, init }) => id.type === 'Identifier' && isHere(init));
      if (found?.id.type === 'Identifier') return found.id.name;
    }
    return undefined;
  }

  /** The initialiser of the `const`, `let` or `class` that declares `name` around `[start, end)`. */
  initialiser(name: string, start: number, end: number): Node | undefined {
    for (const node of chainTo(this.program, start, end).reverse()) {
      const body = 'body' in node && Array.isArray(node.body) ? (node.body as AnyNode[]) : [];
      for (const statement of body) {
        const declaration =
          statement.type === 'ExportNamedDeclaration' ? (statement.declaration as AnyNode | null) : statement;
        if (declaration?.type === 'ClassDeclaration' && declaration.id?.name === name) return declaration;
        if (declaration?.type !== 'VariableDeclaration' || declaration.kind === 'var') continue;
        for (const { id, init } of declaration.declarations) {
          if (id.type === 'Identifier' && id.name === name && init) return init;
        }
      }
    }
    return undefined;
  }
}

function parseOrEmpty(text: string, sourceType: 'script' | 'module'): Program {
  try {
    return parseScript(text, sourceType);
  } catch {
    return parseScript('', sourceType);
  }
}

function lineStarts(text: string): number[] {
  const starts = [0];
  for (const { index, 0: end } of text.matchAll(/\r\n|[\n\r\u2028\u2029]/g)) starts.push(index + end.length);
  return starts;
}

function hasDirective(node: AnyNode): boolean {
  const body = 'body' in node ? node.body : undefined;
  const statements = Array.isArray(body)
    ? (body as AnyNode[])
    : ((body as { body?: AnyNode[] } | undefined)?.body ?? []);
  return (
    Array.isArray(statements) &&
    statements.some(
      statement => statement.type === 'ExpressionStatement' && statement.directive === 'use strict',
    )
  );
}

function importsOf(program: Program): Map<string, ImportBinding> {
  const imports = new Map<string, ImportBinding>();
  for (const statement of program.body) {
    if (statement.type !== 'ImportDeclaration') continue;
    const specifier = String(statement.source.value);
    for (const item of statement.specifiers) {
      const name =
        item.type === 'ImportSpecifier'
          ? nameOf(item.imported)
          : item.type === 'ImportDefaultSpecifier'
            ? 'default'
            : '*';
      imports.set(item.local.name, { specifier, name });
    }
  }
  return imports;
}

function exportsOf(program: Program): ExportBinding[] {
  const found: ExportBinding[] = [];
  for (const statement of program.body) {
    if (statement.type === 'ExportDefaultDeclaration') {
      const node = statement.declaration as AnyNode;
      const local =
        node.type === 'Identifier'
          ? node.name
          : 'id' in node
            ? (node.id as { name: string } | null)?.name
            : undefined;
      found.push({ name: 'default', ...(local && { local }), node });
    } else if (statement.type === 'ExportNamedDeclaration' && !statement.source) {
      for (const { exported, local } of statement.specifiers) {
        found.push({ name: nameOf(exported), local: nameOf(local) });
      }
      const declaration = statement.declaration as AnyNode | null | undefined;
      if (declaration?.type === 'VariableDeclaration') {
        for (const { id } of declaration.declarations) {
          for (const local of patternNames(id as AnyNode)) found.push({ name: local, local });
        }
      } else if (declaration && 'id' in declaration && declaration.id) {
        const local = (declaration.id as { name: string }).name;
        found.push({ name: local, local });
      }
    }
  }
  return found;
}

function patternNames(pattern: AnyNode): string[] {
  switch (pattern.type) {
    case 'Identifier':
      return [pattern.name];
    case 'ObjectPattern':
      return pattern.properties.flatMap(property =>
        patternNames((property.type === 'Property' ? property.value : property.argument) as AnyNode),
      );
    case 'ArrayPattern':
      return pattern.elements.flatMap(element => (element ? patternNames(element as AnyNode) : []));
    case 'AssignmentPattern':
      return patternNames(pattern.left as AnyNode);
    case 'RestElement':
      return patternNames(pattern.argument as AnyNode);
    default:
      return [];
  }
}

function nameOf(node: { type: string; name?: string; value?: unknown }): string {
  return node.type === 'Identifier' ? String(node.name) : String(node.value);
}
