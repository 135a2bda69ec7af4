/*
 * Making a process from a class, with fields and a run(). The constructor runs in the parent, run() in the child, where `this`
 * is a copy. What run() returns is the result, and the only thing that comes back.
 */
import { Process } from 'manyhands';

class Adder extends Process<[], number> {
  from: number;
  to: number;
  total = 0;

  constructor(from: number, to: number) {
    super({ name: `adder of ${from} to ${to}` });
    this.from = from;
    this.to = to;
  }

  protected override run(): number {
    for (let n = this.from; n <= this.to; n++) this.total += n;
    return this.total;
  }
}

const adders = [new Adder(1, 500_000), new Adder(500_001, 1_000_000)];
for (const adder of adders) adder.start();

let sum = 0;
for (const adder of adders) {
  sum += await adder.result();
  console.log(`${adder.name}: result ${await adder.result()}, total in this process ${adder.total}`);
}
console.log(`all together ${sum}`);

// Output:
// adder of 1 to 500000: result 125000250000, total in this process 0
// adder of 500001 to 1000000: result 375000250000, total in this process 0
// all together 500000500000
