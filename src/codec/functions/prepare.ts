import type { LateSteps, SourceForm } from './description';
import { type FreeVariables, freeVariables, usesSuper } from './free-variables';
import type { Edit } from './layout';
import { type AnyNode, isClass, type Node, type Program, parseScript, type Token } from './syntax';

/** A function's own text, understood: what it is, what it needs from around it, and how to compile it elsewhere. */
export interface Prepared {
  readonly form: Exclude<SourceForm, 'declaration'>;
  readonly free: FreeVariables;
  readonly usesSuper: boolean;
  /** Its tokens, by their offsets in the text. */
  readonly tokens: readonly Token[];
  /**
   * The text to compile, and what to do after; depends on which free names are captured rather than global. `layout`
   * is white space to add.
   */
  compiled(captured: ReadonlySet<string>, layout: readonly Edit[]): Compiled;
}

export interface Compiled {
  readonly code?: string;
  readonly meta?: string;
  readonly importer?: string;
  readonly late?: LateSteps;
  /** Methods and accessors whose names are computed from variables. */
  readonly members?: readonly ComputedMember[];
  /** A field's name computed from variables, which leaves no trace. */
  readonly earlyKey?: string;
}

/** A class member whose name stands in `variable`; found by its text, as the name's expression cannot be run again. */
export interface ComputedMember {
  readonly variable: string;
  readonly text: string;
  readonly isStatic: boolean;
}

interface Parsed {
  readonly program: Program;
  /** Where the function's text starts in the program's. */
  readonly shift: number;
  readonly root: AnyNode;
  readonly member: Extract<AnyNode, { type: 'Property' }> | undefined;
  readonly tokens: readonly Token[];
}

/** @throws {SyntaxError} The text is not that of one function or class. */
export function prepare(source: string, strict: boolean, isModule: boolean): Prepared {
  const sourceType = isModule ? 'module' : 'script';
  const parsed = parseFunction(source, strict, sourceType);
  const { program, root, member } = parsed;
  const free = withoutHeritage(freeVariables(program, root, sourceType), root);
  return {
    form: formOf(parsed),
    free,
    usesSuper: member !== undefined && usesSuper(root),
    tokens: parsed.tokens,
    compiled: (captured, layout) => compile(source, parsed, free, captured, layout),
  };
}

/**
 * The expression after `extends` has done its work: the base class crosses, not how it was come by. (V8 need not even
 * keep the variables it used.)
 */
function withoutHeritage(free: FreeVariables, root: AnyNode): FreeVariables {
  if (!isClass(root) || !root.superClass) return free;
  const { superClass: heritage } = root;
  const references = free.references.filter(({ start, end }) => start < heritage.start || end > heritage.end);
  return { ...free, references, names: [...new Set(references.map(({ name }) => name))] };
}

function parseFunction(source: string, strict: boolean, sourceType: 'script' | 'module'): Parsed {
  const open = `(function(){${strict && sourceType === 'script' ? '"use strict";' : ''}return`;
  try {
    const all: Token[] = [];
    const program = parseScript(`${open}(${source}\n)})`, sourceType, all);
    const shift = open.length + 1;
    return { program, shift, root: returned(program), member: undefined, tokens: within(all, source, shift) };
  } catch (asExpression) {
    try {
      const all: Token[] = [];
      const program = parseScript(`${open}{${source}\n}})`, sourceType, all);
      const object = returned(program);
      const member = object.type === 'ObjectExpression' ? object.properties[0] : undefined;
      if (member?.type !== 'Property') throw asExpression;
      const shift = open.length + 1;
      return { program, shift, root: member.value as AnyNode, member, tokens: within(all, source, shift) };
    } catch {
      throw asExpression;
    }
  }
}

/** The tokens of the source among those of the text around it, as if it stood alone. */
function within(tokens: readonly Token[], source: string, shift: number): Token[] {
  return tokens
    .filter(({ start, end }) => start >= shift && end <= shift + source.length)
    .map(token => ({ ...token, start: token.start - shift, end: token.end - shift }));
}

function returned(program: Program): AnyNode {
  const [statement] = program.body;
  const wrapper = statement?.type === 'ExpressionStatement' ? (statement.expression as AnyNode) : undefined;
  const last = wrapper?.type === 'FunctionExpression' ? wrapper.body.body.at(-1) : undefined;
  if (last?.type !== 'ReturnStatement' || !last.argument) throw new SyntaxError('Not a function');
  return last.argument as AnyNode;
}

function formOf({ root, member }: Parsed): Prepared['form'] {
  if (member) return member.kind === 'get' ? 'getter' : member.kind === 'set' ? 'setter' : 'method';
  return isClass(root) ? 'class' : 'expression';
}

function compile(
  source: string,
  { root, member, shift }: Parsed,
  free: FreeVariables,
  captured: ReadonlySet<string>,
  layout: readonly Edit[],
): Compiled {
  const edits: Edit[] = [];
  const at = (index: number) => index - shift;
  // Both stand-ins are as long as what they replace: columns stay.
  const meta = free.importMetas.length > 0 ? unused('import$meta', source) : undefined;
  for (const { start, end } of free.importMetas)
    edits.push({ start: at(start), end: at(end), text: meta ?? '' });
  const importer = free.imports.length > 0 ? unused('imp$rt', source) : undefined;
  for (const { start } of free.imports) {
    edits.push({ start: at(start), end: at(start) + 'import'.length, text: importer ?? '' });
  }
  if (member && (member.computed || (member.key as Node).type === 'PrivateIdentifier')) {
    // The name is restored later; evaluating its expression again is nobody's wish.
    const start = member.computed ? source.lastIndexOf('[', at(member.key.start) - 1) : at(member.key.start);
    const end = at(root.start);
    edits.push({ start, end, text: pad('_', source.slice(start, end)) });
  }
  const steps = isClass(root) ? deferSteps(source, root, shift, free, captured, edits) : undefined;
  for (const space of layout) {
    if (!edits.some(({ start, end }) => start < space.start && space.start < end)) edits.push(space);
  }
  return {
    ...(edits.length > 0 && { code: apply(source, edits) }),
    ...(meta && { meta }),
    ...(importer && { importer }),
    ...steps,
  };
}

/**
 * A class definition runs code: the expression after `extends`, computed names, static initialisers and blocks. When
 * it is compiled on the other side its captured variables have no values yet (they may refer to the class itself), so
 * these are taken out, to be run when they have. A derived class extends `null` until then, which keeps its
 * constructor a derived one.
 */
function deferSteps(
  source: string,
  root: Extract<AnyNode, { type: 'ClassDeclaration' | 'ClassExpression' }>,
  shift: number,
  free: FreeVariables,
  captured: ReadonlySet<string>,
  edits: Edit[],
): Pick<Compiled, 'late' | 'members' | 'earlyKey'> {
  const at = (index: number) => index - shift;
  const register = unused('later$', source);
  const placeholder = unused('key$', source);
  const members: ComputedMember[] = [];
  let heritage: string | undefined;
  let steps = 0;
  let earlyKey: string | undefined;

  if (root.superClass) {
    const start = source.indexOf('extends', root.id ? at(root.id.end) : 'class'.length) + 'extends'.length;
    const end = at(root.body.start);
    heritage = unused('base$', source);
    edits.push({ start, end, text: pad(' null ', source.slice(start, end)) });
  }
  for (const element of root.body.body) {
    if (element.type === 'StaticBlock') {
      const brace = source.indexOf('{', at(element.start)) + 1;
      edits.push({ start: brace, end: brace, text: `${register}(()=>{` });
      edits.push({ start: at(element.end) - 1, end: at(element.end) - 1, text: '})' });
      steps++;
      continue;
    }
    const { key, computed } = element;
    const name = source.slice(at(key.start), at(key.end));
    const used = free.references.filter(({ start, end }) => computed && start >= key.start && end <= key.end);
    if (used.some(({ name }) => captured.has(name) || !(name in globalThis))) {
      if (element.type === 'PropertyDefinition') earlyKey ??= name;
      const number = members.length;
      members.push({
        variable: `${unused('name$', source)}${number}`,
        text: source.slice(at(element.start), at(element.end)).replace(/^static\b\s*/, ''),
        isStatic: element.static,
      });
      edits.push({ start: at(key.start), end: at(key.end), text: `${placeholder}${number}` });
    }
    if (element.type !== 'PropertyDefinition' || !element.static || !element.value) continue;
    const isName = key.type === 'Identifier' || (key.type as string) === 'PrivateIdentifier';
    const target = isName && !computed ? `this.${name}` : `this[${name}]`;
    const equals = source.indexOf('=', computed ? source.indexOf(']', at(key.end)) : at(key.end));
    const end = at(element.end) - (source[at(element.end) - 1] === ';' ? 1 : 0);
    edits.push({ start: equals, end: equals + 1, text: `;static{${register}(()=>{${target}=(` });
    edits.push({ start: end, end, text: ')})}' });
    steps++;
  }
  if (heritage === undefined && members.length === 0 && steps === 0) return {};
  const keys = members.map(({ variable }, i) => ({ placeholder: `${placeholder}${i}`, variable }));
  return {
    late: { register, ...(heritage !== undefined && { heritage }), keys },
    members,
    ...(earlyKey !== undefined && { earlyKey }),
  };
}

/** A name that does not occur in the text. */
function unused(name: string, source: string): string {
  let candidate = name;
  while (source.includes(candidate)) candidate += '$';
  return candidate;
}

/** `text`, made as long as what it replaces, with its line breaks: what follows keeps its line and column. */
function pad(text: string, replaced: string): string {
  return text + replaced.slice(text.length).replace(/[^\r\n\u2028\u2029]/g, ' ');
}

function apply(source: string, edits: readonly Edit[]): string {
  let result = '';
  let done = 0;
  for (const { start, end, text } of [...edits].sort((a, b) => a.start - b.start || a.end - b.end)) {
    result += source.slice(done, start) + text;
    done = end;
  }
  return result + source.slice(done);
}
