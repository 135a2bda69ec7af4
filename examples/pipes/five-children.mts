/*
 * Five children report through one pipe. Each has a copy of the writing end, and messages stay whole; the loop ends when the last
 * of them has ended, as the parent has closed its own copy.
 */
import { type Connection, Pipe, Process } from 'manyhands';

interface Report {
  worker: number;
  pid: number;
  result: number;
}

const work = async (worker: number, reports: Connection<Report>) => {
  await reports.send({ worker, pid: process.pid, result: worker ** 2 });
};

const [reports, writer] = Pipe<Report>({ duplex: false });
const children = [1, 2, 3, 4, 5].map(worker => new Process({ target: work, args: [worker, writer] }).start());
writer.close(); // else the end of file would never come

const pids = new Set<number>();
for await (const { worker, pid, result } of reports) {
  console.log(`worker ${worker}, process ${pid}: ${result}`);
  pids.add(pid);
}
console.log(`all ${pids.size} have reported`);
reports.close();
await Promise.all(children.map(child => child.join()));

// Unordered output:
// worker 1, process …: 1
// worker 2, process …: 4
// worker 3, process …: 9
// worker 4, process …: 16
// worker 5, process …: 25
// Output:
// all 5 have reported
