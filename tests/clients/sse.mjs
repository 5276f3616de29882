// Follows `changes` with graphql-sse in distinct connections mode: one POST per subscription.
import { createClient } from "graphql-sse";

import { fail, Follower, print, readArguments, stopWith } from "./follower.mjs";

/** Short, so that a test that kills the server does not wait for the client's backoff. */
const RETRY_WAIT_MS = 100;

/** Fetches, and ends the run on a 4xx, which this client would repeat for ever. */
async function fetchFn(resource, init) {
  const response = await fetch(resource, init);
  if (response.status >= 400 && response.status < 500) {
    fail({ code: response.status, reason: await response.text() });
  }
  return response;
}

const given = readArguments();
const follower = new Follower(given);
const client = createClient({
  url: given.url,
  fetchFn,
  singleConnection: false,
  headers: { Authorization: `Bearer ${given.token}` },
  retryAttempts: Infinity,
  retry: () => new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS)),
  on: { connected: (isRetry) => print({ type: "connected", isRetry }) },
});
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
