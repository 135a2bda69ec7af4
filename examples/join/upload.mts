/*
 * An upload that must end before "uploaded" is printed. start() does not wait; join() does. The upload goes to a server in
 * this program.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { Process } from 'manyhands';

let received = 0;
const server = createServer(async (request, response) => {
  received = (await buffer(request)).length;
  response.end();
});
await new Promise<void>(listening => server.listen(0, '127.0.0.1', listening));
const { port } = server.address() as AddressInfo;

async function upload(url: string, bytes: number) {
  const response = await fetch(url, { method: 'POST', body: Buffer.alloc(bytes) });
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
}

const uploader = new Process({ target: upload, args: [`http://127.0.0.1:${port}`, 1_000_000] });
uploader.start();
console.log(`uploaded? ${received} bytes are there`);

await uploader.join(); // the end of the process; how it ended, its exit code tells
console.log(`uploaded: ${received} bytes are there, exit code ${uploader.exitCode}`);
server.close();

// Output:
// uploaded? 0 bytes are there
// uploaded: 1000000 bytes are there, exit code 0
