/*
 * The second way to make a thread is a subclass with fields and methods of its own and a run(). The thread has a copy of the
 * object.
 */
import { Thread } from 'manyhands';

class WordCounter extends Thread<[], [string, number]> {
  text: string;
  counts = new Map<string, number>();

  constructor(name: string, text: string) {
    super({ name });
    this.text = text;
  }

  add(word: string) {
    this.counts.set(word, (this.counts.get(word) ?? 0) + 1);
  }

  /** Runs in the thread; what it returns is the result. */
  protected override run() {
    for (const word of this.text.split(' ')) this.add(word);
    return [...this.counts].sort(([, a], [, b]) => b - a)[0];
  }
}

const poem = new WordCounter('poem', 'a rose is a rose is a rose is a rose').start();
const song = new WordCounter('song', 'row row row your boat').start();
for (const thread of [poem, song]) {
  const [word, count] = await thread.result();
  console.log(`${thread.name}: "${word}" comes ${count} times`);
}
console.log(`counted in this thread's objects: ${poem.counts.size + song.counts.size} words`);

// Output:
// poem: "a" comes 4 times
// song: "row" comes 3 times
// counted in this thread's objects: 0 words
