/** One subscription over graphql-transport-ws that goes on where it stopped. */
import type { ExecutionResult, OperationDefinitionNode } from "graphql";
import { createClient, type FormattedExecutionResult } from "graphql-ws";

const ENDPOINT = "/graphql";

/** How many earlier messages stay on screen: enough to read back, little enough to draw. */
const KEPT_MESSAGES = 50;

/** With the client's doubling pause, about two minutes of a server that is away. */
const RETRIES = 7;

/** The server closes with it when a token is over or refused: the same token cannot help. */
const FORBIDDEN = 4403;

export interface LiveOperation {
  readonly query: string;
  readonly operationName: string | undefined;
  readonly operation: OperationDefinitionNode;
  readonly variables: Readonly<Record<string, unknown>>;
  readonly token: () => string | undefined;
}

/** The position a stream reached, where its messages carry one. */
export function position(result: Pick<FormattedExecutionResult, "data">): string | undefined {
  const message = Object.values(result.data ?? {})[0] as
    | { __typename?: unknown; seq?: unknown; head?: unknown }
    | null
    | undefined;
  // After a resync the stream goes on behind the head, and not behind what was sent before.
  const seq = message?.__typename === "ResyncRequired" ? message.head : message?.seq;
  return typeof seq === "string" ? seq : undefined;
}

/**
 * Follows a subscription until it is stopped.
 *
 * GraphiQL shows one result at a time, so each message carries the ones before it in
 * `extensions.playground`: several changes a second would otherwise pass unseen.
 */
export function follow(live: LiveOperation): AsyncIterableIterator<ExecutionResult> {
  const earlier: unknown[] = [];
  let received = 0;
  let reached: string | undefined;
  const client = createClient({
    url: new URL(ENDPOINT, location.href.replace(/^http/, "ws")).href,
    connectionParams: () => {
      const token = live.token();
      return token === undefined ? {} : { token };
    },
    retryAttempts: RETRIES,
    shouldRetry: (reason) => reason instanceof CloseEvent && reason.code !== FORBIDDEN,
  });
  const messages = client.iterate<Record<string, unknown>>({
    query: live.query,
    operationName: live.operationName,
    // Read again at each connect, so a new socket starts where the last one stopped.
    get variables() {
      return canResume(live.operation) && reached !== undefined
        ? { ...live.variables, after: reached }
        : live.variables;
    },
  });

  async function next(): Promise<IteratorResult<ExecutionResult>> {
    const step = await messages.next().catch((reason: unknown) => {
      throw explained(reason);
    });
    if (step.done === true) {
      await client.dispose();
      return { done: true, value: undefined };
    }
    reached = position(step.value) ?? reached;
    received += 1;
    const extensions = { playground: { received, earlier: [...earlier] } };
    // GraphiQL's types name the error class; it prints the plain objects of the wire as well.
    const shown = { ...step.value, extensions } as ExecutionResult;
    earlier.unshift(step.value.data ?? step.value.errors);
    earlier.length = Math.min(earlier.length, KEPT_MESSAGES);
    return { done: false, value: shown };
  }

  async function stop(): Promise<IteratorResult<ExecutionResult>> {
    await messages.return?.();
    await client.dispose();
    return { done: true, value: undefined };
  }

  return { next, return: stop, [Symbol.asyncIterator]() { return this; } };
}

function canResume(operation: OperationDefinitionNode): boolean {
  return (operation.variableDefinitions ?? []).some(({ variable }) => variable.name.value === "after");
}

/** A close says its reason in fields that GraphiQL would not print. */
function explained(reason: unknown): unknown {
  return reason instanceof CloseEvent
    ? new Error(`The socket closed: ${reason.code} ${reason.reason || "without a reason"}`)
    : reason;
}
