import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { leavesNothing } from '../testing/leaks.js';

leavesNothing();

const fixtures = path.join(__dirname, '..', '..', 'src', 'process', 'fixtures');
const library = path.join(__dirname, '..', 'index.js');

interface Drawn {
  pid: number;
  loadedBy: number;
  drawn: [number, string, number];
}

test('children are born with preloaded modules, and with randomness of their own all the same', {
  timeout: 60_000,
}, async () => {
  const count = 200; // all alive at once
  const program = path.join(fixtures, 'preload-program.cjs');
  const args = [program, library, path.join(fixtures, 'preloaded.cjs'), String(count)];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args, { maxBuffer: 2 ** 24 });
  const [drawn, { refused }] = stdout
    .trim()
    .split('\n')
    .map(line => JSON.parse(line)) as [Drawn[], { refused: string }];
  assert.equal(stderr, '');
  assert.equal(drawn.length, count);
  assert.equal(
    new Set(drawn.map(({ loadedBy }) => loadedBy)).size,
    1,
    'one process loaded the module for all',
  );
  assert.ok(drawn.every(({ pid, loadedBy }) => pid !== loadedBy));
  for (const source of [0, 1, 2] as const)
    assert.equal(
      new Set(drawn.map(child => child.drawn[source])).size,
      count,
      `source ${source} repeats itself`,
    );
  assert.equal(refused, 'ERR_LIFECYCLE');
});

test('modules to preload are given by URL, by path, by name; what fails is told, and the rest is there', {
  timeout: 60_000,
}, async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'preload-'));
  const write = (name: string, text: string) => {
    const file = path.join(folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, text);
  };
  const note = (name: string) => `(globalThis.preloaded ??= []).push('${name} ' + process.pid);`;
  write('by url.mjs', note('url'));
  write('here/by-path.cjs', note('path'));
  write('node_modules/by-name/package.json', '{ "exports": { "./part": { "import": "./part.mjs" } } }');
  write('node_modules/by-name/part.mjs', note('name'));
  write('broken.cjs', 'throw new Error("out of order")');
  write(
    'main.mjs',
    `import { createRequire } from 'node:module';
     const { Process, setForkserverPreload } = createRequire(import.meta.url)(${JSON.stringify(library)});
     for (const wrong of ['by-name', [5], ['absent-package']])
       try {
         setForkserverPreload(wrong);
       } catch (error) {
         console.log(error.name, error.message);
       }
     setForkserverPreload([new URL('./by url.mjs', import.meta.url), '../broken.cjs', './by-path.cjs', 'by-name/part']);
     console.log(await new Process({ target: () => preloaded.join() + ' ' + process.pid }).start().result());`,
  );
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['../main.mjs'], {
    cwd: path.join(folder, 'here'),
  });
  rmSync(folder, { recursive: true });
  const told = stdout.trim().split('\n');
  assert.match(told[0], /^TypeError Cannot preload that/);
  assert.match(told[1], /^TypeError Cannot preload that/);
  assert.match(told[2], /^TypeError Cannot find the package of "absent-package" from file:.*main\.mjs/);
  assert.match(told[3], /^url (\d+),path \1,name \1 (?!\1)\d+$/);
  assert.match(stderr, /cannot preload file:.*broken\.cjs; children go without it[\s\S]*out of order/);
});
