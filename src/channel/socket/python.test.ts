import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { AuthenticationError } from '../../errors/errors.js';
import { leavesNothing } from '../../testing/leaks.js';
import { LIMIT } from '../../testing/sharing.js';
import { openDoorbell } from '../../wait/doorbell.js';
import type { Address } from './address.js';
import { connect } from './connect.js';
import { Listener } from './listener.js';
import { KEY, newPath, WRONG_KEY } from './testing/pairs.js';
import { pythons } from './testing/pythons.js';

/* Connections with CPython's multiprocessing.connection, both ways, by each kind of proof that it knows. */

leavesNothing({ warm: openDoorbell });

const SIZES = [0, 1, 255, 16_384, 16_385, 1_000_000];

/** Does what it is told line by line, and says what came of it. An address is a path, or a port of TCP. */
const PROGRAM = `
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Listener

listener = None
for line in sys.stdin:
    act, address, key = line.rstrip('\\n').split('|')
    at = ('127.0.0.1', int(address)) if address.isdigit() else address
    try:
        if act == 'listen':
            listener = Listener(at, authkey=key.encode())
            address = listener.address
            print(address if isinstance(address, str) else address[1], flush=True)
            continue
        connection = listener.accept() if act == 'accept' else Client(at, authkey=key.encode())
        while True:
            connection.send_bytes(connection.recv_bytes())
    except AuthenticationError:
        print('AuthenticationError', flush=True)
    except EOFError:
        print('EOFError', flush=True)
    except OSError as error:
        print(error, flush=True)
`;

/** A program of Python. */
class Snake {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(command: string) {
    this.#child = spawn(command, ['-c', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout as never })[Symbol.asyncIterator]();
  }

  tell(act: string, address: Address = '', key: Uint8Array = KEY): void {
    const at = typeof address === 'string' ? address : address.port;
    this.#child.stdin?.write(`${act}|${at}|${Buffer.from(key)}\n`);
  }

  async said(): Promise<string> {
    return (await this.#lines.next()).value;
  }

  async end(): Promise<void> {
    this.#child.stdin?.end();
    await once(this.#child, 'close');
  }
}

for (const { command, version, isLegacy } of pythons()) {
  const allowMd5 = isLegacy;

  test(`CPython ${version} connects to a Listener`, LIMIT, async () => {
    const snake = new Snake(command);
    for (const address of [newPath(), { host: '127.0.0.1', port: 0 }]) {
      await using listener = await new Listener({ address, authkey: KEY, allowMd5 }).listen();
      snake.tell('connect', listener.address, WRONG_KEY);
      await assert.rejects(listener.accept(), AuthenticationError);
      assert.equal(await snake.said(), 'AuthenticationError');
      snake.tell('connect', listener.address);
      using there = await listener.accept();
      await echoes(there);
      there.close();
      assert.equal(await snake.said(), 'EOFError');
    }
    if (isLegacy) {
      await using listener = await new Listener({ address: newPath(), authkey: KEY }).listen();
      snake.tell('connect', listener.address);
      await assert.rejects(listener.accept(), /AuthenticationError: .*MD5/);
      assert.equal(await snake.said(), 'AuthenticationError');
    }
    await snake.end();
  });

  test(`connect() to a Listener of CPython ${version}`, LIMIT, async () => {
    const snake = new Snake(command);
    for (const at of [newPath(), { host: '127.0.0.1', port: 0 }]) {
      snake.tell('listen', at);
      const said = await snake.said();
      const address = typeof at === 'string' ? said : { host: '127.0.0.1', port: Number(said) };
      snake.tell('accept');
      await assert.rejects(connect({ address, authkey: WRONG_KEY, allowMd5 }), AuthenticationError);
      assert.equal(await snake.said(), 'AuthenticationError');
      snake.tell('accept');
      using there = await connect({ address, authkey: KEY, allowMd5 });
      await echoes(there);
      there.close();
      assert.equal(await snake.said(), 'EOFError');
      if (!isLegacy) continue;
      snake.tell('accept');
      await assert.rejects(connect({ address, authkey: KEY }), /AuthenticationError: .*MD5/);
      assert.equal(await snake.said(), 'EOFError');
    }
    await snake.end();
  });
}

async function echoes(connection: {
  sendBytes(bytes: Uint8Array): Promise<void>;
  recvBytes(): Promise<Uint8Array>;
}): Promise<void> {
  for (const size of SIZES) {
    const bytes = new Uint8Array(size).fill(size);
    await connection.sendBytes(bytes);
    assert.deepEqual(await connection.recvBytes(), bytes);
  }
}
