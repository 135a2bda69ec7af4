#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { Command, CommanderError } from 'commander';
import { mapCommand } from './map.js';
import { runCommand } from './run.js';
import { UsageError } from './usage-error.js';

const STATUS_FAILED = 1;
const STATUS_USAGE = 2;

/** The program `manyhands`: its commands are in files of their own. Exits when the command has ended. */
async function main(): Promise<void> {
  const { version } = JSON.parse(readFileSync(resolve(__dirname, '../../package.json'), 'utf8')) as {
    version: string;
  };
  let status = 0;
  const program = new Command('manyhands')
    .description('Real processes and threads for plain functions.')
    .version(version, '-V, --version')
    .enablePositionalOptions()
    .helpCommand('help [command]', 'show the help of a command')
    .addCommand(
      mapCommand(ended => {
        status = ended;
      }),
    )
    .addCommand(runCommand())
    .addHelpText('after', '\nSee manyhands COMMAND --help for its options and examples.');
  for (const command of [program, ...program.commands])
    command.exitOverride().showHelpAfterError('(--help tells more)');
  try {
    await program.parseAsync();
  } catch (error) {
    status = statusOf(error);
  }
  // Not left to the event loop: a stdin that nobody closes would keep it running.
  process.exit(status);
}

/** Commander has told about its errors already. */
function statusOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : STATUS_USAGE;
  const usage = error instanceof UsageError;
  process.stderr.write(
    `manyhands: ${usage ? error.message : error instanceof Error ? error.stack : error}\n`,
  );
  return usage ? STATUS_USAGE : STATUS_FAILED;
}

void main();
