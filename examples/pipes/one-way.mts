/*
 * A pipe that goes one way: its first end only receives, its second only sends. When nobody has the sending end any more, the
 * reader gets what was sent before, and then the end of file.
 */
import { type Connection, EndOfFileError, LifecycleError, Pipe, Process } from 'manyhands';

const [reader, writer] = Pipe<string>({ duplex: false });
console.log('reader', { readable: reader.readable, writable: reader.writable });
console.log('writer', { readable: writer.readable, writable: writer.writable });

try {
  await reader.send('upstream');
} catch (error) {
  if (error instanceof LifecycleError) console.log('the reader cannot send');
}

const report = (end: Connection<string>) => {
  end.sendSync('half done');
  end.sendSync('done'); // nobody need be reading yet
};
const child = new Process({ target: report, args: [writer] }).start();
writer.close(); // now only the child has it
await child.join(); // and now nobody

console.log(await reader.recv());
console.log(await reader.recv());
try {
  await reader.recv();
} catch (error) {
  if (error instanceof EndOfFileError) console.log('the end');
}
reader.close();

// Output:
// reader { readable: true, writable: false }
// writer { readable: false, writable: true }
// the reader cannot send
// half done
// done
// the end
