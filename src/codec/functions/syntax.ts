import type { AnyNode, Node, Options, Program, Token } from 'acorn';

export type { AnyNode, Node, Program, Token } from 'acorn';

const COMMON: Partial<Options> = {
  // Functions are parsed outside of what surrounds them: an enclosing class, an async module, a CommonJS wrapper.
  checkPrivateFields: false,
  allowSuperOutsideMethod: true,
  allowReturnOutsideFunction: true,
  allowHashBang: true,
  // eslint-scope asks for them.
  ranges: true,
};

/** Parses JavaScript of the running engine's day, putting its tokens into `tokens`. Throws SyntaxError. */
export function parseScript(text: string, sourceType: 'script' | 'module', tokens?: Token[]): Program {
  // Loaded on first use: a process that only runs what others send it never parses.
  const { parse } = require('acorn') as typeof import('acorn');
  return parse(text, { ...COMMON, ecmaVersion: 'latest', sourceType, ...(tokens && { onToken: tokens }) });
}

/** The nodes directly below one. */
export function* children(node: Node): Generator<AnyNode> {
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) {
      for (const item of value) if (isNode(item)) yield item;
    } else if (isNode(value)) yield value;
  }
}

/** The nodes around `[start, end)`, outermost first, that range's own node last. */
export function chainTo(root: Node, start: number, end: number): AnyNode[] {
  const chain: AnyNode[] = [];
  let next: AnyNode | undefined = root as AnyNode;
  while (next) {
    const node: AnyNode = next;
    chain.push(node);
    next = undefined;
    for (const child of children(node)) {
      if (child.start <= start && child.end >= end) {
        next = child;
        break;
      }
    }
  }
  return chain;
}

export function isFunction(
  node: Node,
): node is Extract<
  AnyNode,
  { type: 'FunctionDeclaration' | 'FunctionExpression' | 'ArrowFunctionExpression' }
> {
  return (
    node.type === 'FunctionDeclaration' ||
    node.type === 'FunctionExpression' ||
    node.type === 'ArrowFunctionExpression'
  );
}

export function isClass(
  node: Node,
): node is Extract<AnyNode, { type: 'ClassDeclaration' | 'ClassExpression' }> {
  return node.type === 'ClassDeclaration' || node.type === 'ClassExpression';
}

function isNode(value: unknown): value is AnyNode {
  return typeof value === 'object' && value !== null && typeof (value as Node).type === 'string';
}
