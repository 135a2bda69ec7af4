import Module from 'node:module';
import path from 'node:path';

/*
 * The library is some 200 files that import each other by their relative paths. Node looks for each on the disk, link by link,
 * which takes as long as a quarter of loading them. From the import of this file until endQuickImports(), what one of
 * the library's files imports so is taken to be where it says; all else is found as ever.
 */

interface Loader {
  _resolveFilename(request: string, parent: NodeJS.Module | null | undefined, ...rest: unknown[]): string;
}

const loader = Module as unknown as Loader;
const library = path.resolve(__dirname, '..') + path.sep;
const { _resolveFilename: find } = loader;

loader._resolveFilename = findQuickly;

function findQuickly(this: unknown, ...args: Parameters<Loader['_resolveFilename']>): string {
  const [request, parent] = args;
  if (!request.startsWith('.') || !parent?.filename?.startsWith(library))
    return Reflect.apply(find, this, args);
  const file = path.join(path.dirname(parent.filename), request);
  return path.extname(file) === '' ? `${file}.js` : file;
}

/** From here on Node looks for every file. Cheap to call again. */
export function endQuickImports(): void {
  if (loader._resolveFilename === findQuickly) loader._resolveFilename = find;
}
