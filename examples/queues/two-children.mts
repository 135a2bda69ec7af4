/* Two children that talk to each other, by a queue in each direction. Their parent only brings them together. */
import { Process, Queue } from 'manyhands';

using questions = new Queue<number>();
using answers = new Queue<string>();

const pupil = async () => {
  for (const n of [7, 9, 11]) {
    await questions.put(n);
    console.log(`pupil: is ${n} prime? ${await answers.get()}`);
  }
  questions.shutdown(); // ends the teacher's loop
};
const teacher = async () => {
  for await (const n of questions) {
    const divisor = [2, 3, 5, 7].find(d => d < n && n % d === 0);
    await answers.put(divisor ? `no, ${divisor} × ${n / divisor}` : 'yes');
  }
  console.log('teacher: no more questions');
};

const children = [pupil, teacher].map(target => new Process({ target }).start());
await Promise.all(children.map(child => child.join()));

// Output:
// pupil: is 7 prime? yes
// pupil: is 9 prime? no, 3 × 3
// pupil: is 11 prime? yes
// teacher: no more questions
