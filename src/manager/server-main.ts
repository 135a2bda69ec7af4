import type { Connection } from '../channel/connection.js';
import type { Address } from '../channel/socket/address.js';
import { encodeThrown } from '../codec/errors.js';
import { callTarget, type PortableTarget } from '../process/target.js';
import './links.js';
import { makePrivateSocket, removeAtExit, removePrivateSocket } from './private-folder.js';
import { type Registration, servingBy } from './registry.js';
import { ManagerServer } from './server.js';

/** What a server's process is told. */
export interface ServerSettings {
  /** Undefined: in a folder of its own. */
  readonly address: Address | undefined;
  readonly key: Uint8Array;
  readonly registrations: ReadonlyMap<string, Registration>;
  readonly initializer: PortableTarget | undefined;
  readonly initargs: readonly unknown[];
}

/** What it tells once it listens, or cannot. */
export type Report = { readonly address: Address; readonly server: string } | { readonly thrown: Uint8Array };

/** The life of a server's process. */
export async function serveManager(settings: ServerSettings, report: Connection<Report>): Promise<void> {
  const { registrations } = settings;
  // Ctrl-C is for the program, which may want the server to the last.
  process.on('SIGINT', () => {});
  let address = settings.address;
  let server: ManagerServer;
  try {
    await callTarget(settings.initializer, settings.initargs);
    server = new ManagerServer(typeid => registrations.get(typeid), servingBy(registrations), {
      endsOnRequest: true,
    });
    if (address === undefined) {
      address = makePrivateSocket();
      removeAtExit(address);
    }
    address = await server.listen(address, settings.key);
  } catch (error) {
    await report.send({ thrown: encodeThrown(error) });
    report.close();
    return;
  }
  await report.send({ address, server: server.id });
  report.close();
  await server.stopped;
  removePrivateSocket(address);
}
