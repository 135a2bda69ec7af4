/**
 * Writes dist/index.mjs, the face for `import`: named exports of the one CommonJS implementation, so that a program that
 * mixes `import` and `require` has one copy of every class and of all state. Node could find these names by itself, but
 * types need a file of their own for each kind of module.
 */
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const dist = path.resolve(import.meta.dirname, '../dist');
const names = Object.keys(createRequire(import.meta.url)(path.join(dist, 'index.js'))).sort();

writeFileSync(
  path.join(dist, 'index.mjs'),
  `import manyhands from './index.js';\n\nexport const {\n${names.map(name => `  ${name},\n`).join('')}} = manyhands;\n`,
);
writeFileSync(path.join(dist, 'index.d.mts'), "export * from './index.js';\n");
