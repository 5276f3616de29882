// Follows `changes` with graphql-ws and comes back after every break, behind the last seq seen.
import { fail, Follower, readArguments, stopWith } from "./follower.mjs";
import { openSocket } from "./socket.mjs";

const given = readArguments();
const follower = new Follower(given);
const client = openSocket(given);
const stop = stopWith(() => client.dispose());

client.subscribe(follower.request, {
  next(result) {
    if (follower.take(result)) {
      stop();
    }
  },
  error: fail,
  complete: () => fail("The server completed the stream."),
});
