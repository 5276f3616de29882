/** How GraphiQL reaches the API: POST for queries and mutations, a websocket for subscriptions. */
import type { Fetcher, FetcherOpts, FetcherParams } from "@graphiql/toolkit";
import type { ExecutionResult, OperationDefinitionNode } from "graphql";
import { getOperationAST, GraphQLError, parse } from "graphql";

import { follow } from "./live.ts";
import { fill, learn, type SessionStore } from "./session.ts";

const ENDPOINT = "/graphql";
const ACCEPT = "application/graphql-response+json, application/json;q=0.9";

/** GraphiQL's own query for the schema: public, so a token that is over cannot keep it away. */
const INTROSPECTION = "IntrospectionQuery";

export function createFetcher(store: SessionStore): Fetcher {
  return (params, options) => {
    const operation = operationOf(params);
    const variables = fill(store.current(), operation, params.variables ?? {});
    if (operation?.operation !== "subscription") {
      return post(store, { ...params, variables }, options);
    }
    return follow({
      query: params.query,
      operationName: params.operationName ?? undefined,
      operation,
      variables,
      token: () => store.current()?.accessToken,
    });
  };
}

/** The operation that would run; absent where the document has an error, which the server explains. */
function operationOf(params: FetcherParams): OperationDefinitionNode | undefined {
  try {
    return getOperationAST(parse(params.query), params.operationName) ?? undefined;
  } catch (error) {
    if (error instanceof GraphQLError) {
      return undefined;
    }
    throw error;
  }
}

async function post(
  store: SessionStore,
  params: FetcherParams,
  options: FetcherOpts | undefined,
): Promise<ExecutionResult> {
  const token = params.operationName === INTROSPECTION ? undefined : store.current()?.accessToken;
  const headers = new Headers({ Accept: ACCEPT, "Content-Type": "application/json" });
  if (token !== undefined) {
    headers.set("Authorization", `Bearer ${token}`);
  }
  // What is typed into the headers editor wins over the remembered token.
  for (const [name, value] of Object.entries(options?.headers ?? {})) {
    headers.set(name, String(value));
  }
  const response = await fetch(ENDPOINT, { method: "POST", headers, body: JSON.stringify(params) });
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) {
    throw new Error(`HTTP ${response.status} ${response.statusText}: ${await response.text()}`);
  }
  const result = (await response.json()) as ExecutionResult;
  if (headers.get("Authorization") === `Bearer ${token}` && isRefused(result)) {
    store.save(null);
  } else {
    store.save(learn(store.current(), result.data));
  }
  return result;
}

function isRefused(result: ExecutionResult): boolean {
  return (result.errors ?? []).some(({ extensions }) => extensions?.["code"] === "UNAUTHENTICATED");
}
