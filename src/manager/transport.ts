import type { FrameSocket } from '../channel/socket/frame-socket.js';

/** A connection to somebody who has proved to have the key: of a socket, what managers need. */
export type Transport = Pick<
  FrameSocket,
  'send' | 'canSend' | 'endTurn' | 'buffered' | 'pause' | 'resume' | 'ref' | 'unref' | 'end' | 'close'
>;
