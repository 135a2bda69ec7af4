/*
 * fork() returns twice, here the child's pid, there 0. That is how each learns which of the two it is. Started by
 * `manyhands run`.
 */
import { fork, os } from 'manyhands';

console.log(`before: I am ${os.getpid()}, my parent is ${os.getppid()}`);

const pid = fork();

if (pid === 0) {
  console.log(`child: fork() gave ${pid}, I am ${os.getpid()}, my parent is ${os.getppid()}`);
} else {
  await os.waitpid(pid); // that the lines come in this order, and that the child has a parent
  console.log(`parent: fork() gave ${pid}, I am ${os.getpid()}, my parent is ${os.getppid()}`);
}

// Output:
// before: I am <parent>, my parent is <starter>
// child: fork() gave 0, I am <child>, my parent is <parent>
// parent: fork() gave <child>, I am <parent>, my parent is <starter>
