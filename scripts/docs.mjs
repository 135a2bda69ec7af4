/**
 * Builds the documentation into site/: all documents, the programs of examples/, and the reference from the doc comments of
 * src/. Fails on any warning, be it that a public name has no comment or a link leads nowhere.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as typedoc from 'typedoc';
import { brokenLinks } from './site-links.mjs';

const {
  Comment,
  CommentTag,
  Converter,
  IndexEvent,
  KindRouter,
  PageEvent,
  ReferenceType,
  ReflectionKind,
  RendererEvent,
} = typedoc;

const root = path.resolve(import.meta.dirname, '..');
const site = path.resolve(root, process.argv[2] ?? 'site');

const REFERENCE = 'API reference';
/** The parts of the site by where their files are, those first that are most to the point. */
const PARTS = [
  [/^docs\/guide\//, 'Textbook'],
  [/^docs\/migration\//, 'Coming from elsewhere'],
  [/^docs\//, 'Manual'],
  [/^examples\//, 'Programs'],
  [/^(CHANGELOG|ARCHITECTURE|CONTRIBUTING)\.md$/, 'The project'],
  [/^src\/.*\.md$/, 'The project'],
];
/** The parts of the reference, by the same rule. */
const AREAS = [
  [/^src\/process\/(fork|os)\b/, 'fork and os'],
  [/^src\/process\//, 'Processes and threads'],
  [/^src\/pool\/(async-result|callbacks|options|map|imap|pool|task-signal|thread-pool)\b/, 'Pools'],
  [/^src\/(pool\/context|manager\/context|platform\/)/, 'Processes and threads'],
  [/^src\/pool\//, 'Executors'],
  [/^src\/(sync|wait)\//, 'Synchronisation'],
  [/^src\/channel\//, 'Queues and pipes'],
  [/^src\/shared\//, 'Shared data'],
  [/^src\/manager\//, 'Managers'],
  [/^src\/errors\//, 'Errors'],
];
const ORDER = [
  ...['Textbook', 'Manual', 'Coming from elsewhere', 'Programs', REFERENCE, 'The project'],
  ...['Processes and threads', 'Pools', 'Executors', 'Synchronisation', 'Queues and pipes', 'Shared data'],
  ...['Managers', 'Errors', 'fork and os'],
  ...['Constructors', 'Properties', 'Accessors', 'Methods', '*'],
];

/** Pages have the paths of their files, those of the reference their names. */
class Router extends KindRouter {
  getIdealBaseName(reflection) {
    if (reflection.isDocument())
      return pathOf(reflection)
        .replace(/\.\w+$/, '')
        .replace(/README$/, 'index');
    if (reflection.kind === ReflectionKind.Module) return 'reference/index';
    return `reference/${super.getIdealBaseName(reflection).replace(/^\w+\/[^.]*\./, '')}`;
  }
}

const app = await typedoc.Application.bootstrap({
  entryPoints: [path.join(root, 'src/index.ts')],
  tsconfig: path.join(root, 'scripts/tsconfig.docs.json'),
  skipErrorChecking: true, // that is for the build
  alwaysCreateEntryPointModule: true,
  name: 'manyhands',
  includeVersion: true,
  readme: path.join(root, 'README.md'),
  out: site,
  router: 'paths',
  customCss: path.join(root, 'scripts/site.css'),
  favicon: path.join(root, 'scripts/site.svg'),
  disableSources: true,
  githubPages: false,
  hideGenerator: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeProtected: true,
  excludeExternals: true,
  preservedTypeAnnotationTags: ['@throws'],
  highlightLanguages: ['typescript', 'javascript', 'console', 'shellscript', 'json', 'python', 'c'],
  ignoredHighlightLanguages: ['text'],
  lightHighlightTheme: 'github-light',
  darkHighlightTheme: 'github-dark',
  markdownItLoader: tellCodeInHeadings,
  intentionallyNotExported: [
    'src/manager/base-manager.ts:Methods',
    'src/manager/base-manager.ts:AnyMethods',
    'src/pool/context.ts:Context', // of which the public one is more
    'src/pool/completed.ts:SameIterator', // another name for the one that is exported
  ],
  navigation: { includeGroups: true, includeCategories: true, includeFolders: false },
  categorizeByGroup: true,
  groupOrder: ORDER,
  sort: ['kind', 'static-first', 'source-order'],
  useFirstParagraphOfCommentAsSummary: true,
  searchInComments: true,
  searchInDocuments: true,
  visibilityFilters: {},
  requiredToBeDocumented: [
    ...['Namespace', 'Variable', 'Function', 'Class', 'Interface', 'TypeAlias'],
    ...['Constructor', 'Property', 'Accessor', 'Method'],
  ],
  validation: {
    notExported: true,
    invalidLink: true,
    invalidPath: true,
    rewrittenLink: true,
    notDocumented: true,
  },
});
app.renderer.defineRouter('paths', Router);

// Documents say by their first heading what they are called, and by their place what they belong to.
const parse = app.converter.parseRawComment;
app.converter.parseRawComment = (file, files) => {
  const text = asPage(path.relative(root, file.fileName), file.text);
  return parse.call(app.converter, new typedoc.MinimalSourceFile(text, file.fileName), files);
};

// Not as "projectDocuments", which are none but Markdown.
app.converter.on(Converter.EVENT_BEGIN, ({ project }) => {
  for (const name of documents())
    app.converter.addDocument(
      project,
      new typedoc.MinimalSourceFile(read(name), path.join(root, name)),
      name,
    );
});

app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
  const [face] = project.children;
  face.name = REFERENCE;
  face.comment ??= new Comment();
  face.comment.blockTags.push(tag('@group', REFERENCE));
  for (const child of face.children) {
    const { packagePath = '' } = project.getSymbolIdFromReflection(child) ?? {};
    child.comment ??= new Comment();
    child.comment.blockTags.push(tag('@group', partOf(AREAS, packagePath)));
  }
  for (const reflection of Object.values(project.reflections)) {
    if (reflection.comment) {
      gatherThrows(reflection.comment);
      reflection.comment.summary.forEach(markTopic);
    }
    for (const types of ['extendedTypes', 'implementedTypes'])
      if (reflection[types]) reflection[types] = reflection[types].filter(isPublic);
  }
});

// The reference is a part of the navigation, rather than the only member of one.
app.renderer.on(RendererEvent.BEGIN, ({ project }) => {
  const part = app.renderer.theme.getNavigation(project).find(({ text }) => text === REFERENCE);
  Object.assign(part, part.children[0]);
});

// The grammar of a language takes long to warm up, and lines that take too long are left without colours.
const warmUp = page => {
  app.renderer.off(PageEvent.BEGIN, warmUp);
  const programs = read('README.md')
    .match(/```[jt]s\n[\s\S]*?```\n/g)
    .join('\n');
  app.renderer.theme.getRenderContext(page).markdown([{ kind: 'code', text: programs }]);
};
app.renderer.on(PageEvent.BEGIN, warmUp, -1000);

// "barrier wait" finds what the Barrier has of that name.
app.renderer.on(IndexEvent.PREPARE_INDEX, event => {
  event.searchFieldWeights.owner = 2;
  for (const [i, { parent }] of event.searchResults.entries())
    event.searchFields[i] = { owner: parent?.kind === ReflectionKind.Module ? '' : parent?.name };
});

// A link to a folder would show what is in it, where no server answers.
app.renderer.on(PageEvent.END, page => {
  page.contents = page.contents
    ?.replace(`<h1>Module ${REFERENCE}`, `<h1>${REFERENCE}`)
    .replace(/(href="(?:\.\.\/)*)(?:\.\/)?((?:#[^"]*)?")/g, (all, up, rest) =>
      up === 'href="' ? all : `${up}index.html${rest}`,
    );
});

const project = await app.convert();
if (project) {
  app.validate(project);
  await app.generateDocs(project, site);
}
for (const problem of project ? brokenLinks(site) : []) app.logger.error(problem);
if (app.logger.hasErrors() || app.logger.hasWarnings()) {
  console.error('Cannot build the documentation without warnings: mend what is named above');
  process.exitCode = 1;
}

/** All documents, in the order in which those that list others first mention them. */
function documents() {
  const all = [
    ...['docs', 'examples', 'src'].flatMap(folder =>
      readdirSync(path.join(root, folder), { recursive: true }).map(name => path.join(folder, name)),
    ),
    ...['CHANGELOG.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md'],
  ].filter(name => partOf(PARTS, name) && /\.(md|[mc]?[jt]s)$/.test(name));
  const mentioned = ['docs/guide', 'docs', 'docs/migration', 'examples'].flatMap(folder => {
    const list = path.join(folder, 'README.md');
    const links = existsSync(path.join(root, list)) ? read(list).matchAll(/\]\(([^)#]+)/g) : [];
    return [list, ...Array.from(links, ([, link]) => path.join(folder, link))];
  });
  const rank = name => (mentioned.includes(name) ? mentioned.indexOf(name) : mentioned.length);
  return all.sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
}

function partOf(parts, name) {
  return parts.find(([place]) => place.test(name))?.[1];
}

/** A document as typedoc takes it, which gives the first page the title of the project. */
function asPage(name, text) {
  const [heading = '', title = ''] = /^# (.+)\n/.exec(text) ?? [];
  if (name === 'README.md') return text.slice(heading.length);
  const part = partOf(PARTS, name);
  const topic =
    /^examples\/(?:(.+)\/)?/.exec(name)?.[1] ?? (name.startsWith('examples/') ? 'start' : undefined);
  if (name.endsWith('.md')) return frontMatter(title.replaceAll('`', ''), part, topic) + text;
  const program = path.relative('examples', name);
  const run = name.endsWith('.mts') ? `\`npm run example ${program.slice(0, -4)}\` runs it.\n\n` : '';
  return `${frontMatter(path.basename(name), part, topic)}# ${program}\n\n${run}\`\`\`ts\n${text}\`\`\`\n`;
}

function frontMatter(title, group, category) {
  const entries = Object.entries({ title, group, category }).filter(([, value]) => value !== undefined);
  return `---\n${entries.map(([key, value]) => `${key}: ${JSON.stringify(value)}\n`).join('')}---\n`;
}

function pathOf(document) {
  return path.relative(root, document.project.files.getReflectionPath(document));
}

/** The text of a heading, of which its anchor is made, is also what in it is code: as it is for others who show these documents. */
function tellCodeInHeadings(parser) {
  parser.core.ruler.push('code in headings', ({ tokens, Token }) => {
    for (const code of tokens
      .flatMap(({ children }) => children ?? [])
      .filter(({ type }) => type === 'code_inline'))
      code.children = [Object.assign(new Token('text', '', 0), { content: code.content })];
  });
}

/** Makes one list of all errors that something throws. */
function gatherThrows(comment) {
  const all = comment.getTags('@throws');
  if (all.length === 0) return;
  comment.removeTags('@throws');
  const list = new CommentTag('@throws', []);
  for (const { typeAnnotation = '{Error}', content } of all) {
    const names = typeAnnotation
      .slice(1, -1)
      .split('|')
      .map(name => name.trim());
    list.content.push({ kind: 'text', text: '\n- ' });
    for (const [i, name] of names.entries()) {
      if (i > 0) list.content.push({ kind: 'text', text: ', ' });
      const isOwn = !['Error', 'TypeError', 'RangeError'].includes(name);
      list.content.push(
        isOwn ? { kind: 'inline-tag', tag: '@linkcode', text: name } : { kind: 'code', text: `\`${name}\`` },
      );
    }
    if (content.length > 0) list.content.push({ kind: 'text', text: ': ' }, ...content);
  }
  comment.blockTags.push(list);
}

/** What a part of a comment is about stands out, and begins a paragraph: "Order: …". */
function markTopic(part, i, { [i - 1]: before }) {
  if (part.kind !== 'text') return;
  part.text = part.text.replace(/(^|\n\n|(?<=[.)])\n)([A-Z][\w ]{2,20}:)(?= )/g, (all, start, topic) =>
    start === '' && before ? all : `${start && '\n\n'}**${topic}**`,
  );
}

/** Is it a type that readers can look up? */
function isPublic(type) {
  if (!(type instanceof ReferenceType)) return true;
  return type.reflection !== undefined || type.package !== 'manyhands';
}

function tag(name, text) {
  return new CommentTag(name, [{ kind: 'text', text }]);
}

function read(name) {
  return readFileSync(path.join(root, name), 'utf8');
}
