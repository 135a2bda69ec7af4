import type { FrameOwner } from '../channel/socket/frame-socket.js';
import { FrameSocket } from '../channel/socket/frame-socket.js';
import { native } from '../native/native.js';
import type { WaitOptions } from '../wait/options.js';
import type { Address } from './address.js';

function split(address: Address): [Uint8Array | string, number] {
  return typeof address === 'string'
    ? [Buffer.from(address), 0]
    : [address.host === 'localhost' ? '127.0.0.1' : address.host, address.port];
}

function check(fd: number): number {
  if (fd < 0) throw new Error(`errno ${-fd}`);
  return fd;
}

export async function dial(
  address: Address,
  _key: Uint8Array,
  owner: FrameOwner,
  _options?: WaitOptions,
): Promise<FrameSocket> {
  const fd = check(native.socketConnect(...split(address)));
  await null;
  native.socketAwait(fd, 2, 5000);
  native.socketCheck(fd);
  const socket = new FrameSocket(fd, owner);
  return socket;
}

export interface Door {
  readonly address: Address;
  close(): Promise<void>;
}

export async function listen(
  address: Address,
  _key: Uint8Array,
  accept: () => { owner: FrameOwner; open: (socket: FrameSocket) => void },
): Promise<Door> {
  const fd = check(native.socketListen(...split(address), 128));
  native.socketWatch(fd, () => {
    for (;;) {
      const peer = native.socketAccept(fd);
      if (peer < 0) return;
      const { owner, open } = accept();
      open(new FrameSocket(peer, owner));
    }
  });
  native.socketWant(fd, 1, 1);
  let own = address;
  if (typeof address !== 'string') own = { host: address.host, port: native.socketAddress(fd, 0)?.[1] ?? 0 };
  return { address: own, close: async () => native.socketClose(fd) };
}
