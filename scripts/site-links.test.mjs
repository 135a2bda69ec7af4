import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import { brokenLinks } from './site-links.mjs';

const site = mkdtempSync(path.join(tmpdir(), 'site-links-'));
after(() => rmSync(site, { recursive: true }));

function write(name, text) {
  mkdirSync(path.dirname(path.join(site, name)), { recursive: true });
  writeFileSync(path.join(site, name), text);
}

test('links that lead somewhere are no problem', () => {
  write('index.html', '<h1 id="a&amp;b">A</h1> <a href="docs/one.html#part">1</a> <img src="media/one.svg">');
  write(
    'docs/one.html',
    '<a class="x" href="../index.html#a%26b">up</a> <h2 id="part">P</h2> <a href="#part">P</a>',
  );
  write('media/one.svg', '<svg/>');
  write('assets/navigation.js', data([{ text: 'One', path: 'docs/one.html' }]));
  write(
    'docs/two.html',
    '<a href="https://example.org/nowhere">elsewhere</a> <img src="data:image/png;base64,AA">',
  );
  assert.deepEqual(brokenLinks(site), []);
});

test('links, anchors and images that lead nowhere are named with their page', () => {
  write(
    'docs/two.html',
    '<a href="three.html">3</a> <a href="one.html#no">1</a> <img src="../media/no.svg"> <a href="../">',
  );
  write('assets/search.js', data({ rows: [{ url: 'docs/four.html#x' }] }));
  assert.deepEqual(brokenLinks(site), [
    'assets/search.js leads to ../docs/four.html#x, which is not there',
    'docs/two.html leads to ../, which is not there',
    'docs/two.html leads to ../media/no.svg, which is not there',
    'docs/two.html leads to one.html#no, where nothing has that name',
    'docs/two.html leads to three.html, which is not there',
  ]);
});

test('what is loaded from elsewhere is a problem', () => {
  write('assets/search.js', data({ rows: [] }));
  write(
    'docs/two.html',
    '<link rel="stylesheet" href="https://example.org/a.css"><script src="https://example.org/b.js"></script>',
  );
  assert.deepEqual(brokenLinks(site), [
    'docs/two.html loads https://example.org/a.css from elsewhere',
    'docs/two.html loads https://example.org/b.js from elsewhere',
  ]);
});

function data(value) {
  return `window.data = "${deflateSync(JSON.stringify(value)).toString('base64')}"`;
}
