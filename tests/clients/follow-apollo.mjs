// An Apollo application: reads the list, follows `changes` from there, creates a task, sees it come.
import { ApolloClient, ApolloLink, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";

import { runApplication } from "./application.mjs";
import { CHANGES, CREATE, fail, Follower, readArguments, stopWith, TASKS } from "./follower.mjs";
import { openSocket } from "./socket.mjs";

const given = readArguments();
const socket = openSocket(given);

const client = new ApolloClient({
  cache: new InMemoryCache(),
  link: ApolloLink.split(
    ({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION,
    new GraphQLWsLink(socket),
    new HttpLink({ uri: given.url, headers: { Authorization: `Bearer ${given.token}` } }),
  ),
});
const stop = stopWith(async () => {
  client.stop();
  await socket.dispose();
});

runApplication({
  given,
  follower: new Follower(given),
  query: async (variables) => (await client.query({ query: gql(TASKS), variables })).data,
  mutate: async (variables) => (await client.mutate({ mutation: gql(CREATE), variables })).data,
  follow: (variables, next) =>
    client.subscribe({ query: gql(CHANGES), variables }).subscribe({
      next({ data, error }) {
        if (error !== undefined) {
          fail(error);
        }
        next({ data });
      },
      error: fail,
    }),
  stop,
}).catch(fail);
