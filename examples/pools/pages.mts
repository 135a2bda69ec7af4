/*
 * Workers fetch pages, the parent writes them to files. The callbacks run in the parent, one after another, each as soon as
 * its page is there: so they may share a file and a count without a lock.
 */
import { once } from 'node:events';
import { appendFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Pool } from 'manyhands';

const server = createServer(({ url }, response) => response.end(`<h1>The page ${url}</h1>`));
await once(server.listen(0, '127.0.0.1'), 'listening');
const { port } = server.address() as AddressInfo;
const folder = mkdtempSync(join(tmpdir(), 'pages-'));

const fetchPage = async (name: string) => {
  const response = await fetch(`http://127.0.0.1:${port}/${name}`);
  return { name, html: await response.text(), worker: process.pid };
};

let bytes = 0;
const save = ({ name, html, worker }: Awaited<ReturnType<typeof fetchPage>>) => {
  writeFileSync(join(folder, `${name}.html`), html);
  appendFileSync(join(folder, 'list.txt'), `${name}\n`);
  bytes += html.length; // a variable of the parent's: a worker would have changed its own copy
  console.log(`${name}: fetched by ${worker}, written by ${process.pid}`);
};

const pool = new Pool(3);
console.log(`parent ${process.pid} serves and writes`);
for (const name of ['ash', 'birch', 'cedar', 'elm', 'fir'])
  pool.applyAsync(fetchPage, [name], { callback: save });
pool.close();
await pool.join();

console.log(`${bytes} bytes in ${readdirSync(folder).join(', ')}`);
console.log(
  'list.txt has',
  readFileSync(join(folder, 'list.txt'), 'utf8').trim().split('\n').sort().join(', '),
);
rmSync(folder, { recursive: true });
server.close();

// Output:
// parent <parent> serves and writes
// Unordered output:
// ash: fetched by …, written by <parent>
// birch: fetched by …, written by <parent>
// cedar: fetched by …, written by <parent>
// elm: fetched by …, written by <parent>
// fir: fetched by …, written by <parent>
// Output:
// 114 bytes in ash.html, birch.html, cedar.html, elm.html, fir.html, list.txt
// list.txt has ash, birch, cedar, elm, fir
