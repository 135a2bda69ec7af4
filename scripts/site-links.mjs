import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { inflateSync } from 'node:zlib';

/** What of a site typedoc keeps apart from its pages: the navigation, and what the search finds. */
const DATA = ['assets/navigation.js', 'assets/search.js', 'assets/hierarchy.js'];

/** The links and images of a built site that lead nowhere, or that are loaded from elsewhere, as sentences. */
export function brokenLinks(site) {
  const anchors = new Map();
  const links = [];
  for (const page of readdirSync(site, { recursive: true }).filter(name => name.endsWith('.html'))) {
    const html = readFileSync(path.join(site, page), 'utf8').replace(/<(script|style)>[\s\S]*?<\/\1>/g, '');
    anchors.set(page, new Set(Array.from(html.matchAll(/\sid="([^"]*)"/g), ([, id]) => plain(id))));
    for (const [, element, attribute, link] of html.matchAll(/<(\w+)\b[^>]*?\s(href|src)="([^"]*)"/g))
      links.push({ page, link: plain(link), isLoaded: attribute === 'src' || element === 'link' });
  }
  for (const file of DATA) {
    for (const link of linksOf(path.join(site, file))) links.push({ page: file, link: `../${link}` });
  }
  const problems = links.map(({ page, link, isLoaded }) => {
    if (/^(https?|mailto):/.test(link)) return isLoaded ? `${page} loads ${link} from elsewhere` : undefined;
    if (link.startsWith('data:')) return undefined;
    const [target, anchor] = link.split('#');
    const file = target === '' ? page : path.join(path.dirname(page), decodeURI(target).split('?')[0]);
    if (!existsSync(path.join(site, file)) || statSync(path.join(site, file)).isDirectory())
      return `${page} leads to ${link}, which is not there`;
    if (!anchor || !anchors.has(file) || anchors.get(file).has(decodeURIComponent(anchor))) return undefined;
    return `${page} leads to ${link}, where nothing has that name`;
  });
  return [...new Set(problems.filter(problem => problem !== undefined))].sort();
}

/** The addresses within a file of typedoc's data. */
function linksOf(file) {
  const [, data] = (existsSync(file) && /"([\w+/=]+)"/.exec(readFileSync(file, 'utf8'))) || [];
  if (!data) return [];
  const links = [];
  JSON.parse(inflateSync(Buffer.from(data, 'base64')).toString(), (key, value) => {
    if ((key === 'path' || key === 'url') && typeof value === 'string') links.push(value);
    return value;
  });
  return links;
}

function plain(text) {
  return text
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&#39;/g, "'")
    .replace(/&amp;/g, '&');
}
