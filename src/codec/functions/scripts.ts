import { type Script, scriptSource } from './inspect';
import { ModuleSyntax } from './module-syntax';

const parsed = new WeakMap<Script, ModuleSyntax>();

/** The syntax of a script, parsed once. */
export function syntaxOf(script: Script): ModuleSyntax {
  let syntax = parsed.get(script);
  if (!syntax) {
    syntax = new ModuleSyntax(scriptSource(script), script.isModule ? 'module' : 'script');
    parsed.set(script, syntax);
  }
  return syntax;
}
