import type { Session } from 'node:inspector';

/** One level of a function's scope chain. `variables` holds live values; reading one in its dead zone may throw. */
export interface ScopeLevel {
  readonly type: 'Module' | 'Script' | 'Global' | 'Local';
  readonly variables: object;
}

/** A script as V8 knows it. */
export interface Script {
  readonly id: string;
  /** `file:` URL, `node:` name, or whatever the script was given; empty for eval and `new Function`. */
  readonly url: string;
  readonly isModule: boolean;
  /** Where its first character stands, in the coordinates of its positions. */
  readonly startLine: number;
  readonly startColumn: number;
}

/** Where a function stands. */
export interface Location {
  readonly script: Script;
  readonly line: number;
  readonly column: number;
}

/** What V8 tells of a function. */
export class Inspection {
  /** Undefined: it is native code. */
  readonly location: Location | undefined;
  readonly bound: boolean;
  #scopesId: string | undefined;
  #scopes: readonly ScopeLevel[] | undefined;

  constructor(location: Location | undefined, bound: boolean, scopesId: string | undefined) {
    this.location = location;
    this.bound = bound;
    this.#scopesId = scopesId;
  }

  /** Innermost first. The first look, which is what costs, must come before the next inspection. */
  get scopes(): readonly ScopeLevel[] {
    this.#scopes ??= this.#scopesId === undefined ? [] : readScopes(this.#scopesId);
    return this.#scopes;
  }
}

interface Property {
  readonly name: string;
  readonly value?: { readonly objectId?: string; readonly value?: unknown };
}
interface RawLocation {
  readonly scriptId: string;
  readonly lineNumber: number;
  readonly columnNumber: number;
}
interface ParsedScript {
  readonly scriptId: string;
  readonly url: string;
  readonly startLine: number;
  readonly startColumn: number;
  readonly isModule?: boolean;
}

/** Where functions of ours, called by the inspector, leave what they were given. */
const tray = {
  fn: undefined as unknown,
  scopes: undefined as ArrayLike<{ description: string; object: object }> | undefined,
};
const GROUP = 'manyhands';
/** How many inspections the inspector keeps handles of at most. */
const HELD = 32;
const TRAY_KEY = Symbol.for('manyhands.inspect.tray');

let session: Session | undefined;
let trayId: string | undefined;
/** Inspections of which it keeps handles. */
let held = 0;
const scripts = new Map<string, Script>();
/** The ids of those that V8 has named since the debugger was turned on. */
const announced = new Set<string>();
/** The text of the script met last: it will be asked for next, most likely. */
let latest: { readonly id: string; readonly text: string } | undefined;

/**
 * Asks V8 about a function: script, position, and the scopes it closes over, as they are when they are looked at first.
 *
 * The inspector's debugger is on only while a script is unknown or its text is read, since it slows user code down;
 * everything else works without it. Another debugger attached to this process is not disturbed.
 */
export function inspect(fn: unknown): Inspection {
  const objectId = idOf(fn);
  const { internalProperties = [] } = post<{ internalProperties?: Property[] }>('Runtime.getProperties', {
    objectId,
    ownProperties: true,
  });
  let raw: RawLocation | undefined;
  let scopesId: string | undefined;
  let bound = false;
  for (const { name, value } of internalProperties) {
    if (name === '[[FunctionLocation]]') raw = value?.value as RawLocation;
    else if (name === '[[Scopes]]') scopesId = value?.objectId;
    else if (name === '[[TargetFunction]]') bound = true;
  }
  const script = raw && scriptOf(raw.scriptId);
  const location = script && raw && { script, line: raw.lineNumber, column: raw.columnNumber };
  return new Inspection(location, bound, scopesId);
}

/**
 * The inspector is told to let go of what it has given handles for, and so kept alive, in batches, as each telling costs
 * as much as a tenth of an inspection; but as soon as the code that runs now has come to its end.
 */
function letGoInTime(): void {
  if (held++ === 0) void Promise.resolve().then(letGo);
  else if (held > HELD) letGo();
}

function letGo(): void {
  if (held === 0) return;
  held = 0;
  post('Runtime.releaseObjectGroup', { objectGroup: GROUP });
}

/** The text of a script, as compiled. Kept by nobody here: ask once. */
export function scriptSource(script: Script): string {
  const fetched = latest?.id === script.id ? latest.text : undefined;
  latest = undefined;
  return fetched ?? debugging(() => fetchSource(script.id));
}

function readScopes(scopesId: string): ScopeLevel[] {
  post('Runtime.callFunctionOn', {
    objectId: scopesId,
    functionDeclaration: 'function (tray) { tray.scopes = this; }',
    arguments: [{ objectId: trayId }],
    silent: true,
  });
  const list = tray.scopes ?? [];
  tray.scopes = undefined;
  const levels: ScopeLevel[] = [];
  for (let i = 0; i < list.length; i++) {
    const { description, object } = list[i] as { description: string; object: object };
    levels.push({ type: typeOf(description), variables: object });
  }
  return levels;
}

/** A scope's description is its type, and mostly the name of the function it belongs to. */
function typeOf(description: string): ScopeLevel['type'] {
  const end = description.indexOf(' ');
  const word = end < 0 ? description : description.slice(0, end);
  return word === 'Module' || word === 'Script' || word === 'Global' ? word : 'Local';
}

/** An inspector handle for a value of ours. */
function idOf(value: unknown): string {
  trayId ??= publishTray();
  tray.fn = value;
  letGoInTime();
  try {
    const { result } = post<{ result: { objectId: string } }>('Runtime.callFunctionOn', {
      objectId: trayId,
      functionDeclaration: 'function () { return this.fn; }',
      objectGroup: GROUP,
      silent: true,
    });
    return result.objectId;
  } finally {
    tray.fn = undefined;
  }
}

/** The inspector sees only what is reachable from globalThis: the tray is, for as long as it takes to get its handle. */
function publishTray(): string {
  Object.defineProperty(globalThis, TRAY_KEY, { value: tray, configurable: true });
  try {
    const { result } = post<{ result: { objectId: string } }>('Runtime.evaluate', {
      expression: `globalThis[Symbol.for(${JSON.stringify(TRAY_KEY.description)})]`,
      silent: true,
    });
    return result.objectId;
  } finally {
    Reflect.deleteProperty(globalThis, TRAY_KEY);
  }
}

function scriptOf(id: string): Script | undefined {
  if (!scripts.has(id)) {
    debugging(() => {
      // Turning the debugger on is what costs.
      if (!scripts.get(id)?.url.startsWith('node:')) latest = { id, text: fetchSource(id) };
    });
  }
  return scripts.get(id);
}

function fetchSource(scriptId: string): string {
  return post<{ scriptSource: string }>('Debugger.getScriptSource', { scriptId }).scriptSource;
}

/** Runs `action` with the debugger on; turning it on makes V8 announce every script it holds. */
function debugging<T>(action: () => T): T {
  announced.clear();
  post('Debugger.enable');
  // Others are gone, and with them what is known of them.
  for (const id of scripts.keys()) if (!announced.has(id)) scripts.delete(id);
  announced.clear();
  try {
    return action();
  } finally {
    post('Debugger.disable');
  }
}

function post<T>(method: string, params?: object): T {
  session ??= openSession();
  let outcome: { error: Error | null; value: unknown } | undefined;
  session.post(method, params, (error, value) => {
    outcome = { error, value };
  });
  if (!outcome) throw new Error(`The inspector did not answer ${method}`);
  if (outcome.error) throw outcome.error;
  return outcome.value as T;
}

function openSession(): Session {
  // Loaded on first use: a process that only runs what others send it never inspects.
  const inspector = require('node:inspector') as typeof import('node:inspector');
  const opened = new inspector.Session();
  opened.connect();
  opened.on('Debugger.scriptParsed', ({ params }: { params: ParsedScript }) => {
    // Only these five: a source map inlined by a compiler would be megabytes to keep.
    const { scriptId, url, startLine, startColumn, isModule = false } = params;
    announced.add(scriptId);
    if (!scripts.has(scriptId))
      // announced anew each time; others remember what they know of it by this object
      scripts.set(scriptId, { id: scriptId, url, startLine, startColumn, isModule });
  });
  return opened;
}
