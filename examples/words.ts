import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

export interface FileWords {
  readonly path: string;
  readonly bytes: number;
  readonly sha256: string;
  /** How often each word occurs in what people wrote for people. */
  readonly words: Record<string, number>;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
const comments = /\/\*[\s\S]*?\*\/|\/\/.*/g;

/**
 * Reads a file, hashes it and counts the words of its prose, as Unicode tells words apart: all of a Markdown file, the
 * comments of a source file. An ordinary function: nothing in it knows of workers.
 *
 *     manyhands map examples/words.ts README.md
 */
export default function words(path: string): FileWords {
  const content = readFileSync(path);
  const text = content.toString('utf8');
  const prose = path.endsWith('.md') ? [text] : (text.match(comments) ?? []);
  const counts = new Map<string, number>();
  for (const line of prose.flatMap(part => part.split('\n'))) {
    for (const { segment, isWordLike } of segmenter.segment(line)) {
      if (!isWordLike || segment.length < 4) continue;
      const word = segment.toLowerCase();
      counts.set(word, (counts.get(word) ?? 0) + 1);
    }
  }
  return {
    path,
    bytes: content.length,
    sha256: createHash('sha256').update(content).digest('hex'),
    words: Object.fromEntries(counts),
  };
}
