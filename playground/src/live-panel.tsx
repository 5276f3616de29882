/**
 * A pane that follows the workspace beside the tabs.
 *
 * GraphiQL runs one operation at a time, so a subscription in a tab ends when the next one runs.
 * This pane keeps its own socket: changes appear while the tabs go on making them.
 */
import type { GraphiQLPlugin } from "@graphiql/react";
import { getOperationAST, parse } from "graphql";
import { useEffect, useState, useSyncExternalStore } from "react";

import FOLLOW_CHANGES from "../examples/9-follow-changes.graphql?raw";
import { follow } from "./live.ts";
import type { SessionStore } from "./session.ts";

/** Enough to scroll back through a tour; the log itself is kept by the server. */
const SHOWN_MESSAGES = 200;

interface Message {
  readonly __typename: string;
  readonly seq: string;
  readonly kind?: string;
  readonly fields?: readonly string[];
  readonly actor?: { readonly name: string } | null;
  readonly task?: { readonly title: string } | null;
  readonly tag?: { readonly name: string } | null;
  readonly category?: { readonly name: string } | null;
}

interface Stream {
  readonly messages: readonly Message[];
  readonly failure: string | null;
}

const EMPTY: Stream = { messages: [], failure: null };

function open(store: SessionStore, workspaceId: string) {
  const operation = getOperationAST(parse(FOLLOW_CHANGES));
  if (operation === null || operation === undefined) {
    throw new Error("The example holds no single operation.");
  }
  return follow({
    query: FOLLOW_CHANGES,
    operationName: operation.name?.value,
    operation,
    variables: { workspaceId },
    token: () => store.current()?.accessToken,
  });
}

function words(reason: unknown): string {
  const first: unknown = Array.isArray(reason) ? reason[0] : reason;
  return first instanceof Error ? first.message : JSON.stringify(first);
}

function useStream(store: SessionStore, token?: string, workspaceId?: string): Stream {
  const [stream, setStream] = useState(EMPTY);
  useEffect(() => {
    setStream(EMPTY);
    if (token === undefined || workspaceId === undefined) {
      return;
    }
    const results = open(store, workspaceId);
    const read = async () => {
      for await (const { data, errors } of results) {
        const message = data?.["changes"] as Message | undefined;
        setStream(({ messages }) => ({
          messages: message ? [message, ...messages].slice(0, SHOWN_MESSAGES) : messages,
          failure: errors ? words(errors) : null,
        }));
      }
    };
    read().catch((reason: unknown) => {
      setStream(({ messages }) => ({ messages, failure: words(reason) }));
    });
    return () => void results.return?.();
  }, [store, token, workspaceId]);
  return stream;
}

function Line({ message }: { message: Message }) {
  return (
    <li className={message.__typename === "Change" ? undefined : "mark"}>
      <code>{message.seq}</code> <b>{message.kind ?? message.__typename}</b>{" "}
      {message.task?.title ?? message.tag?.name ?? message.category?.name}{" "}
      {message.fields?.length ? <i>{message.fields.join(", ")}</i> : null}{" "}
      {message.actor ? <small>{message.actor.name}</small> : null}
    </li>
  );
}

function LivePanel({ store }: { store: SessionStore }) {
  const session = useSyncExternalStore(store.subscribe, store.current);
  const { messages, failure } = useStream(
    store,
    session?.accessToken,
    session?.ids["workspaceId"],
  );
  return (
    <section className="live" aria-label="Live changes">
      <h1>Live changes</h1>
      {session === null && <p>Sign up or in, and every change of the workspace appears here.</p>}
      {failure !== null && <p role="alert">{failure}</p>}
      <ol>
        {messages.map((message, index) => (
          // Newest on top, so the distance from the oldest is what stays the same for a row.
          <Line key={messages.length - index} message={message} />
        ))}
      </ol>
    </section>
  );
}

function LiveIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5">
      <circle cx="12" cy="12" r="2.5" />
      <path d="M7 7a7 7 0 0 0 0 10M17 7a7 7 0 0 1 0 10M4 4a11.3 11.3 0 0 0 0 16M20 4a11.3 11.3 0 0 1 0 16" />
    </svg>
  );
}

export function livePlugin(store: SessionStore): GraphiQLPlugin {
  return { title: "Live changes", icon: LiveIcon, content: () => <LivePanel store={store} /> };
}
