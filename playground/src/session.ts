/**
 * Who is signed in, and the ids last seen, kept in the browser.
 *
 * The examples need no copying of tokens and ids: answers are read for both, and an operation
 * that leaves out a variable such as `$workspaceId` gets the id that was seen last.
 */
import type { OperationDefinitionNode } from "graphql";

const KEY = "carillon.session";

/** Payload fields whose id is worth keeping: `task` fills the variable `$taskId`. */
const SUBJECTS = ["workspace", "task", "tag", "category"] as const;

export interface Session {
  readonly accessToken: string;
  /** RFC 3339; null where the server names no end. */
  readonly expiresAt: string | null;
  readonly name: string;
  /** Ids by the variable they fill. */
  readonly ids: Readonly<Record<string, string>>;
}

type Fields = Readonly<Record<string, unknown>>;

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** The session after an answer of `signUp` or `signIn`, or of any mutation that shows a subject. */
export function learn(session: Session | null, data: unknown): Session | null {
  if (!isFields(data)) {
    return session;
  }
  return Object.values(data).filter(isFields).reduce(learnPayload, session);
}

function learnPayload(session: Session | null, payload: Fields): Session | null {
  const accessToken = text(payload["accessToken"]);
  if (accessToken !== null) {
    return signedIn(accessToken, payload);
  }
  if (session === null) {
    return null;
  }
  const ids = { ...session.ids };
  for (const subject of SUBJECTS) {
    const shown = payload[subject];
    const id = isFields(shown) ? text(shown["id"]) : null;
    if (id !== null) {
      ids[`${subject}Id`] = id;
    }
  }
  return { ...session, ids };
}

function signedIn(accessToken: string, payload: Fields): Session {
  const viewer = isFields(payload["viewer"]) ? payload["viewer"] : {};
  const workspaces: unknown = viewer["workspaces"];
  const first: unknown = Array.isArray(workspaces) ? workspaces[0] : null;
  const workspaceId = isFields(first) ? text(first["id"]) : null;
  return {
    accessToken,
    expiresAt: text(payload["expiresAt"]),
    name: text(viewer["name"]) ?? text(viewer["email"]) ?? "an unnamed account",
    ids: workspaceId === null ? {} : { workspaceId },
  };
}

/** The given variables, and the remembered ids for those that the operation declares and lacks. */
export function fill(
  session: Session | null,
  operation: OperationDefinitionNode | undefined,
  variables: Fields,
): Fields {
  const filled: Record<string, unknown> = {};
  for (const { variable, defaultValue } of operation?.variableDefinitions ?? []) {
    const id = session?.ids[variable.name.value];
    if (id !== undefined && defaultValue === undefined) {
      filled[variable.name.value] = id;
    }
  }
  return { ...filled, ...variables };
}

function parse(stored: string | null, now: number): Session | null {
  if (stored === null) {
    return null;
  }
  const session = JSON.parse(stored) as Session;
  const isOver = session.expiresAt !== null && Date.parse(session.expiresAt) <= now;
  return isOver ? null : session;
}

/** Holds the session of this browser; what one window learns, the others see. */
export class SessionStore {
  #session: Session | null;
  readonly #listeners = new Set<() => void>();

  constructor(private readonly storage: Storage) {
    this.#session = parse(storage.getItem(KEY), Date.now());
    addEventListener("storage", (event) => {
      // A null key says that the whole storage was cleared.
      if (event.key === KEY || event.key === null) {
        this.#show(parse(event.newValue, Date.now()));
      }
    });
  }

  readonly current = (): Session | null => this.#session;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  save(session: Session | null): void {
    if (session === null) {
      this.storage.removeItem(KEY);
    } else {
      this.storage.setItem(KEY, JSON.stringify(session));
    }
    this.#show(session);
  }

  #show(session: Session | null): void {
    this.#session = session;
    for (const listener of this.#listeners) {
      listener();
    }
  }
}
