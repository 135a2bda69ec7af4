/*
 * More than strings go through a queue: objects (Python's dicts), Maps, dates, objects of classes, functions. What comes out is a
 * copy, made by `put`: what its producer changes afterwards is not seen.
 */
import { Process, Queue } from 'manyhands';

class Rectangle {
  width: number;
  height: number;
  constructor(width: number, height: number) {
    this.width = width;
    this.height = height;
  }
  area() {
    return this.width * this.height;
  }
}

using queue = new Queue<any>();
const send = async () => {
  const person = { name: 'Ada', born: new Date('1815-12-10'), languages: ['English', 'French'] };
  await queue.put(person);
  person.name = 'somebody else'; // too late

  await queue.put(new Map([['apples', 3]]).set('pears', 5));
  await queue.put(new Rectangle(6, 7));
  await queue.put((name: string) => `hello ${name}`);
};
const sender = new Process({ target: send }).start();

const person = await queue.get();
console.log(person.name, person.born.getFullYear(), person.languages);
const stock: Map<string, number> = await queue.get();
console.log(stock, stock.get('pears'));
console.log('area', (await queue.get()).area()); // methods came along
console.log((await queue.get())(person.name));
await sender.join();

// Output:
// Ada 1815 [ 'English', 'French' ]
// Map(2) { 'apples' => 3, 'pears' => 5 } 5
// area 42
// hello Ada
