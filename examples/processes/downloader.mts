/*
 * A class of processes with methods of its own, downloaders. Each fetches a page, saves it and gives back its title. The pages
 * come from a server in this program, on the loopback interface.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Process } from 'manyhands';

class Downloader extends Process<[], string> {
  url: string;
  file: string;

  constructor(url: string, folder: string) {
    super({ name: `downloader of ${new URL(url).pathname}` });
    this.url = url;
    this.file = path.join(folder, `${path.basename(url)}.html`);
  }

  protected override async run(): Promise<string> {
    const page = await this.download();
    writeFileSync(this.file, page);
    return this.titleOf(page);
  }

  async download(): Promise<string> {
    const response = await fetch(this.url);
    if (!response.ok) throw new Error(`${this.url} answered ${response.status}`);
    return response.text();
  }

  titleOf(page: string): string {
    return /<title>(.*?)<\/title>/.exec(page)?.[1] ?? 'untitled';
  }
}

const server = createServer(({ url }, response) => response.end(`<title>All about ${url?.slice(1)}</title>`));
await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening));
const { port } = server.address() as AddressInfo;

const folder = mkdtempSync(path.join(tmpdir(), 'pages-'));
const downloaders = ['tea', 'coffee', 'cocoa'].map(
  page => new Downloader(`http://127.0.0.1:${port}/${page}`, folder),
);
for (const downloader of downloaders) downloader.start(); // all fetch at once
for (const downloader of downloaders) console.log(`${downloader.name}: ${await downloader.result()}`);
for (const downloader of downloaders) await downloader.join();

console.log(readdirSync(folder).sort().join(' '));
rmSync(folder, { recursive: true });
server.close();

// Output:
// downloader of /tea: All about tea
// downloader of /coffee: All about coffee
// downloader of /cocoa: All about cocoa
// cocoa.html coffee.html tea.html
