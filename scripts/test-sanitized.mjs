/**
 * Runs the tests of the layers next to native code with an addon that looks for wrong memory use and undefined behaviour.
 * Leaks are not looked for: Node itself ends without freeing. Arguments name other tests, as for scripts/test.mjs.
 */
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { compile, root, run } from './native-toolchain.mjs';

const addon = path.join(root, 'build/Sanitized/manyhands.node');
compile({
  compiler: 'gcc',
  flags: ['-g', '-fno-omit-frame-pointer', '-fsanitize=address,undefined', '-fno-sanitize-recover=undefined'],
  output: addon,
});

const runtimes = ['libasan.so', 'libubsan.so'].map(name => run('gcc', [`-print-file-name=${name}`]).trim());
const names =
  process.argv.length > 2
    ? process.argv.slice(2)
    : ['src/native/', 'src/memory/', 'src/wait/', 'src/sync/named', 'src/channel/socket/', 'src/shared/sha'];
const { status } = spawnSync(process.execPath, [path.join(root, 'scripts/test.mjs'), ...names], {
  stdio: 'inherit',
  env: {
    ...process.env,
    MANYHANDS_ADDON: addon,
    MANYHANDS_SCHEDULES: process.env.MANYHANDS_SCHEDULES ?? '10', // each takes ten times as long
    LD_PRELOAD: runtimes.join(':'),
    // V8 handles faults in WebAssembly by a handler of its own.
    ASAN_OPTIONS: 'detect_leaks=0:allow_user_segv_handler=1:handle_segv=0',
    UBSAN_OPTIONS: 'print_stacktrace=1',
  },
});
process.exitCode = status ?? 1;
