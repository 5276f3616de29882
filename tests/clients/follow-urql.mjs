// An urql application: reads the list, follows `changes` from there, creates a task, sees it come.
import { cacheExchange, Client, fetchExchange, subscriptionExchange } from "urql";

import { CHANGES, CREATE, fail, Follower, readArguments, stopWith, TASKS } from "./follower.mjs";
import { openSocket } from "./socket.mjs";
import { runApplication } from "./application.mjs";

const given = readArguments();
const socket = openSocket(given);
const stop = stopWith(() => socket.dispose());

const client = new Client({
  url: given.url,
  preferGetMethod: false,
  fetchOptions: { headers: { Authorization: `Bearer ${given.token}` } },
  exchanges: [
    cacheExchange,
    fetchExchange,
    subscriptionExchange({
      forwardSubscription: (request) => ({
        subscribe: (sink) => ({
          unsubscribe: socket.subscribe({ ...request, query: request.query ?? "" }, sink),
        }),
      }),
    }),
  ],
});

/** urql's errors name what was thrown in `networkError`, and GraphQL's own in `graphQLErrors`. */
function dataOf({ data, error }) {
  if (error !== undefined) {
    throw error.networkError ?? error;
  }
  return data;
}

runApplication({
  given,
  follower: new Follower(given),
  query: async (variables) => dataOf(await client.query(TASKS, variables)),
  mutate: async (variables) => dataOf(await client.mutation(CREATE, variables)),
  follow: (variables, next) =>
    client.subscription(CHANGES, variables).subscribe((result) => {
      try {
        next({ data: dataOf(result) });
      } catch (error) {
        fail(error);
      }
    }),
  stop,
}).catch(fail);
