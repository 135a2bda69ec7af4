import { Command } from 'commander';
import { becomeProgram } from '../process/program.js';

const NOTES = `
The program is what node FILE ARGS would run, with the same pid, arguments, folder and environment, by Node with V8 confined to one
thread. Options of Node go into NODE_OPTIONS. Exit status and signals are the program's own.

Examples:
  manyhands run server.mjs --port 8080
  NODE_OPTIONS="--import tsx" manyhands run server.ts
`;

/** The command `manyhands run`. It does not end: the process becomes the program. */
export function runCommand(): Command {
  return new Command('run')
    .summary('run a program in which fork() is allowed')
    .description('Run a program of JavaScript (or of what else Node runs) in which fork() is allowed.')
    .usage('FILE [ARGS…]')
    .argument('<FILE>', 'the program')
    .argument('[ARGS...]', 'its arguments, with dashes or without')
    .passThroughOptions()
    .addHelpText('after', NOTES)
    .action((file: string, args: string[]) => becomeProgram(file, args));
}
