/**
 * The same load for all servers of this folder, in a table. Each is a program of its own. Clients come with one line and leave;
 * clients stay; a client of cheap lines is beside others whose lines are dear. Started by `manyhands run`, as some servers
 * fork. --quick: some of them, for a short time.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import path from 'node:path';

const isQuick = process.argv.includes('--quick');
const DURATION = isQuick ? 50 : 1000; // of each load, ms
const CLIENTS = isQuick ? 2 : 8;
const SERVERS = isQuick
  ? ['plain', 'pool', 'process-per-client']
  : ['plain', 'cluster', 'pool', 'pool --threads', 'threads', 'process-per-client', 'forking', 'relayed'];

/** Has a line answered. Returns how long that took, ms. */
async function ask(socket: Socket, line: string): Promise<number> {
  const begin = performance.now();
  socket.write(`${line}\n`);
  for (let text = ''; !text.endsWith('\n'); ) text = String((await once(socket, 'data'))[0]);
  return performance.now() - begin;
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').setNoDelay();
  await once(socket, 'connect');
  await ask(socket, 'hello'); // by now whoever serves it is there
  return socket;
}

async function close(socket: Socket): Promise<void> {
  socket.end();
  await once(socket, 'close');
}

/** Has so many do that again and again for a while, all at once. Returns what all have got, and how many a second that is. */
async function again<T>(count: number, round: (index: number) => Promise<T>) {
  const results: T[] = [];
  const begin = performance.now();
  const one = async (_: unknown, index: number) => {
    do results.push(await round(index));
    while (performance.now() < begin + DURATION);
  };
  await Promise.all(Array.from({ length: count }, one));
  return { results, rate: (results.length / (performance.now() - begin)) * 1000 };
}

async function measure(port: number) {
  await close(await open(port)); // what is made for the first of all clients is there from now on
  const visits = await again(CLIENTS, async () => close(await open(port)));

  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => open(port)));
  const lines = await again(CLIENTS, index => ask(clients[index], 'hello'));

  const [cheap, dear] = await Promise.all([
    again(1, () => ask(clients[0], 'hello')),
    again(CLIENTS / 2, index => ask(clients[1 + index], '* hello')),
  ]);
  await Promise.all(clients.map(close));

  const times = cheap.results.sort((a, b) => a - b);
  const [median, late] = [0.5, 0.99].map(part => times[Math.floor(part * times.length)].toFixed(1));
  return [...[visits, lines, dear].map(({ rate }) => Math.round(rate)), median, late];
}

function print(name: string, ...columns: unknown[]): void {
  console.log(name.padEnd(20) + columns.map(column => String(column).padStart(11)).join(''));
}

print('server', 'clients/s', 'lines/s', 'dear/s', 'cheap ms', '99 % ms');
for (const name of SERVERS) {
  const [file, ...options] = name.split(' ');
  const program = path.join(import.meta.dirname, file + path.extname(import.meta.filename));
  const server = spawn(process.execPath, [...process.execArgv, program, 'listen', ...options], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [port] = await once(server.stdout, 'data');
  print(name, ...(await measure(Number(port))));
  server.kill();
  await once(server, 'exit');
}

// Output of --quick:
// server … clients/s … lines/s … dear/s … cheap ms … 99 % ms
// plain …
// pool …
// process-per-client …
