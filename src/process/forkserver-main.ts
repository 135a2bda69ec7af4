/*
 * The fork server's main script: loads all that children need, then sleeps in native code for ever. What runs after
 * serve() returns, runs in a child.
 */
import '../platform/quick-imports.js'; // first

import { loadModule, setEntry } from '../codec/functions/modules.js';
import { hooksStayedBehind } from '../codec/functions/typescript.js';
import * as commons from '../memory/commons.js';
import { native } from '../native/native.js';
import { endQuickImports } from '../platform/quick-imports.js';
import { becomeChild } from './after-fork.js';
import { prepareToRun, runForked } from './child.js';
import { setStartFolder } from './command.js';
import { printAtOnce } from './printing.js';
import { rehearse, rehearseAsChild } from './rehearsal.js';
import { inheritServer, type ServerOptions } from './server.js';
import { settleHeap } from './settle-heap.js';

/** Its number as Node counts versions of its binary interface. */
const NODE_20 = '115';

const options = JSON.parse(process.argv[2]) as ServerOptions;
printAtOnce();
commons.join(options.arena, options.bytes);
for (const fd of [options.requests, options.client, options.lifeline]) native.setCloexec(fd);
process.argv = [...options.argv];
process.execArgv = [...options.execArgv];
if (options.nodeOptions !== undefined) process.env.NODE_OPTIONS = options.nodeOptions;
hooksStayedBehind('forked process');
setEntry(options.entry);
setStartFolder(options.folder);
process.title = 'manyhands fork server';

// Children have what a thread loads on first use only.
for (const file of ['acorn', 'node:child_process', 'node:crypto', ...options.warm]) require(file);
endQuickImports();

void prepare().then(serve);

async function prepare(): Promise<void> {
  for (const module of options.preload) {
    try {
      await loadModule(module);
    } catch (error) {
      console.error(`manyhands: cannot preload ${module}; children go without it\n`, error);
    }
  }
  await rehearse();
  settleHeap();
}

function serve(): void {
  const record = native.serve(
    options.requests,
    options.lifeline,
    options.root,
    process.versions.modules === NODE_20 ? 1 : 0,
  );
  becomeChild({ preloaded: options.preload.length > 0 });
  inheritServer(options.client);
  if (record === native.layout.rehearsal) void rehearseAsChild();
  else if (record === native.layout.reserve) {
    prepareToRun();
    void runForked(native.takeRecord());
  } else void runForked(record);
}
