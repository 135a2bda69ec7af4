/*
 * Two children play ping-pong: each waits for the ball before it plays it back, so the pipe also keeps them in step. Nobody
 * else sees the ball; the two lines of each rally are in order although two processes print them.
 */
import { type Connection, Pipe, Process } from 'manyhands';

const RALLIES = 3;

const ping = async (other: Connection<number>) => {
  for (let ball = 1; ball <= RALLIES; ball = await other.recv()) {
    console.log('ping', ball);
    await other.send(ball);
  }
  other.close(); // the game is over
};
const pong = async (other: Connection<number>) => {
  for await (const ball of other) {
    console.log('pong', ball);
    await other.send(ball + 1);
  }
};

const [left, right] = Pipe<number>();
const players = [
  new Process({ target: ping, args: [left] }).start(),
  new Process({ target: pong, args: [right] }).start(),
];
left.close(); // the players have theirs
right.close();
await Promise.all(players.map(player => player.join()));
console.log('exit codes', players.map(player => player.exitCode).join(', '));

// Output:
// ping 1
// pong 1
// ping 2
// pong 2
// ping 3
// pong 3
// exit codes 0, 0
