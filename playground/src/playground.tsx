/** The page: a bar that says who is signed in, and GraphiQL below it. */
import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { useSyncExternalStore } from "react";

import { EXAMPLES } from "./examples.ts";
import { createFetcher } from "./fetcher.ts";
import { livePlugin } from "./live-panel.tsx";
import { SessionStore } from "./session.ts";

/** Where GraphiQL keeps its tabs; without it, it starts from the examples again. */
const GRAPHIQL_STATE = ["graphiql:tabState", "graphiql:query", "graphiql:variables", "graphiql:headers"];

const store = new SessionStore(localStorage);
const fetcher = createFetcher(store);
const live = livePlugin(store);
const plugins = [HISTORY_PLUGIN, live];

function restoreExamples(): void {
  if (confirm("Close all tabs and open the examples again?")) {
    GRAPHIQL_STATE.forEach((key) => localStorage.removeItem(key));
    location.reload();
  }
}

function SessionBar() {
  const session = useSyncExternalStore(store.subscribe, store.current);
  return (
    <header className="bar">
      <strong>Carillon</strong>
      {session === null ? (
        <span>Not signed in. Run the tab SignUp, then go through the tabs from left to right.</span>
      ) : (
        <>
          <span>
            Signed in as <b>{session.name}</b>
          </span>
          <Ids ids={session.ids} />
        </>
      )}
      <span className="space" />
      {session !== null && (
        <button type="button" title="Forgets the access token" onClick={() => store.save(null)}>
          Sign out
        </button>
      )}
      <button type="button" title="Opens the example tabs again" onClick={restoreExamples}>
        Examples
      </button>
    </header>
  );
}

function Ids({ ids }: { ids: Readonly<Record<string, string>> }) {
  return (
    <span className="ids" title="Variables that an operation leaves out are filled with these ids">
      {Object.entries(ids).map(([variable, id]) => (
        <code key={variable}>
          ${variable} = {id}
        </code>
      ))}
    </span>
  );
}

export function Playground() {
  return (
    <>
      <SessionBar />
      <GraphiQL
        fetcher={fetcher}
        defaultTabs={EXAMPLES}
        defaultEditorToolsVisibility="variables"
        plugins={plugins}
        visiblePlugin={live}
      />
    </>
  );
}
