import { createHash } from 'node:crypto';
import { type Address, addressText } from '../channel/socket/address.js';
import { openSocket } from '../channel/socket/open-socket.js';
import { registerMade, registerRefusal } from '../codec/handles.js';
import { Failure } from '../codec/path.js';
import { programAuthkey } from '../memory/authkey.js';
import { onFork } from '../wait/forks.js';
import type { WaitOptions } from '../wait/options.js';
import { type Destination, Link } from './link.js';
import { RemoteObject } from './remote-object.js';
import type { TypeDescription } from './remote-type.js';

/* The connections of this thread to managers' servers: one to each, which all managers and proxies share. */

/** How long a server may take to prove who it is, ms, if nobody says otherwise. */
const PATIENCE = 10_000;

const links = new Map<string, Link>();

let family: string | undefined;

/** What a family's members tell each other by: it follows from the key of their program, which it does not tell. */
export function familyName(): string {
  family ??= createHash('sha256').update('family').update(programAuthkey()).digest('base64url');
  return family;
}

function nameOf(address: Address, key: Uint8Array): string {
  return `${addressText(address)} ${createHash('sha256').update(key).digest('base64url')}`;
}

/** The link to there, begun if there is none. */
export function linkTo(to: Omit<Destination, 'family'>, options: WaitOptions = { timeout: PATIENCE }): Link {
  const name = nameOf(to.address, to.key);
  const known = links.get(name);
  // A server that came to an address after another is not the one that proxies of that stand for.
  if (known && (to.server === undefined || known.server === undefined || known.server === to.server))
    return known;
  const link = new Link(
    { ...to, family: familyName() },
    () => openSocket(to.address, { key: to.key, allowMd5: false }, options),
    ended => {
      if (links.get(name) === ended) links.delete(name);
    },
  );
  if (!known) links.set(name, link);
  return link;
}

onFork(() => {
  const bequests = [...links.values()].map(link => link.bequeath());
  if (bequests.length === 0) return undefined;
  return {
    take: () => {
      for (const take of bequests) take();
    },
  };
});

/** A proxy on its way. */
interface Sent {
  readonly address: Address;
  /** Not told to other programs. */
  readonly key: Uint8Array | undefined;
  readonly isFamily: boolean;
  readonly server: string;
  readonly object: number;
  readonly token: string;
  readonly serial: number;
  readonly type: TypeDescription;
}

/** @throws {RangeError} This thread has no connection to there, and was not told the key. */
export function revive(sent: Sent): RemoteObject {
  const { address, isFamily, server } = sent;
  const link = sent.key ? linkTo({ address, key: sent.key, server, isFamily }) : openLinkTo(address);
  return link.claim(sent.object, sent.token, sent.serial, sent.type);
}

function openLinkTo(address: Address): Link {
  const place = addressText(address);
  for (const link of links.values()) if (link.place === place) return link;
  throw new RangeError(
    `a proxy of the manager at ${place} came from another program, and this thread has no connection to there: connect() a manager with its key first`,
  );
}

registerMade<RemoteObject>(RemoteObject, (proxy, abroad) => {
  const { link, object, type, isHeld } = RemoteObject.heldBy(proxy);
  if (!isHeld)
    throw new Failure('this proxy was disposed of', 'send it before, or keep it as long as it is needed');
  if (link.server === undefined)
    throw new Failure(
      'the connection to its manager is not there yet',
      'send it when a call has been answered',
    );
  const { number, typeid, names, hidden } = type;
  const sent: Sent = {
    address: link.address,
    key: abroad ? undefined : link.key,
    isFamily: !abroad && link.isFamily,
    server: link.server,
    object,
    token: link.token,
    serial: link.lend(object),
    type: { number, typeid, names, hidden, proxy: abroad ? undefined : type.proxy },
  };
  return [revive, sent];
});

/** Managers themselves stay where they are. */
export function refuseToCross(type: abstract new (...args: never) => object): void {
  registerRefusal(
    type,
    name =>
      new Failure(
        `it is ${name}, which belongs to the thread that started or connected it`,
        'send proxies of its objects, or its address, and connect() over there',
      ),
  );
}
