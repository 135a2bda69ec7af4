/*
 * os.wait() gives a child's pid and its status, one number for how it ended. The functions in capitals take it apart. Started
 * by `manyhands run`.
 */
import { fork, os } from 'manyhands';

const ways = {
  'has nothing left to do': () => {},
  'process.exit(3)': () => process.exit(3),
  'is killed': () => process.kill(process.pid, 'SIGKILL'),
};

for (const [way, end] of Object.entries(ways)) {
  const child = fork();
  if (child === 0) {
    end();
    break; // the next ones are the parent's
  }
  const [pid, status] = await os.wait();
  if (pid !== child) throw new Error('there is only one child at a time');
  if (os.WIFEXITED(status)) console.log(`${way}: status ${status}, exit code ${os.WEXITSTATUS(status)}`);
  if (os.WIFSIGNALED(status)) console.log(`${way}: status ${status}, signal ${os.WTERMSIG(status)}`);
}

// Output:
// has nothing left to do: status 0, exit code 0
// process.exit(3): status 768, exit code 3
// is killed: status 9, signal 9
