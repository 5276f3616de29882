// The websocket client that all three websocket followers use, set up once.
import { createClient } from "graphql-ws";
import WebSocket from "ws";

import { fail, print } from "./follower.mjs";

/** Short, so that a test that kills the server does not wait for the client's backoff. */
const RETRY_WAIT_MS = 100;

/** A token that is over: the same one would be refused again. */
const FORBIDDEN = 4403;

export function openSocket({ socketUrl, token }) {
  return createClient({
    url: socketUrl,
    webSocketImpl: WebSocket,
    connectionParams: { token },
    lazy: false,
    onNonLazyError: fail,
    retryAttempts: Infinity,
    retryWait: () => new Promise((resolve) => setTimeout(resolve, RETRY_WAIT_MS)),
    shouldRetry: (event) => event.code !== FORBIDDEN,
    on: {
      connected: (_socket, _payload, isRetry) => print({ type: "connected", isRetry }),
    },
  });
}
