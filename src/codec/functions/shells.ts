import type { Capture, CapturedName, SourceShell } from './description';

/** How many shells are known by their text; the one that came first goes first. */
const KEPT = 512;

const texts = new WeakMap<SourceShell, string>();
const shells = new Map<string, SourceShell>();

/** A shell as text, which is the same for all functions that differ in nothing but the values they capture. */
export function textOf(shell: SourceShell): string {
  let text = texts.get(shell);
  if (text === undefined) {
    text = JSON.stringify(shell);
    texts.set(shell, text);
  }
  return text;
}

/** The shell that a text of textOf() stands for: mostly the same object each time. */
export function shellOf(text: string): SourceShell {
  const known = shells.get(text);
  if (known) return known;
  const shell = JSON.parse(text) as SourceShell;
  texts.set(shell, text);
  shells.set(text, shell);
  if (shells.size > KEPT) {
    for (const oldest of shells.keys()) {
      shells.delete(oldest);
      break;
    }
  }
  return shell;
}

/** Whether a shell is right for these captured variables: they are the same ones, and the same of them are imports. */
export function fits({ captures: names }: SourceShell, captures: readonly Capture[]): boolean {
  if (names.length !== captures.length) return false;
  for (let i = 0; i < names.length; i++) {
    const known: CapturedName = names[i] as CapturedName;
    const capture: CapturedName = captures[i] as Capture;
    if (known.name !== capture.name || known.module !== capture.module || known.export !== capture.export)
      return false;
  }
  return true;
}

/** The names of captured variables, as a shell lists them. */
export function namesOf(captures: readonly Capture[]): CapturedName[] {
  return captures.map(capture =>
    'module' in capture
      ? { name: capture.name, module: capture.module, export: capture.export }
      : { name: capture.name },
  );
}
