// What every follower shares: its arguments, the subscription, the position in the stream, and
// the JSON lines that the Python tests read.
import { parseArgs } from "node:util";

export const CHANGES = /* GraphQL */ `
  subscription Follow($workspaceId: ID!, $after: Sequence) {
    changes(workspaceId: $workspaceId, after: $after) {
      __typename
      seq
      ... on Change {
        kind
        subjectId
        clientMutationId
      }
      ... on ResyncRequired {
        reason
        head
      }
    }
  }
`;

export const TASKS = /* GraphQL */ `
  query Tasks($workspaceId: ID!) {
    tasks(workspaceId: $workspaceId, first: 5) {
      seq
      totalCount
      nodes {
        id
        title
      }
    }
  }
`;

export const CREATE = /* GraphQL */ `
  mutation Create($workspaceId: ID!, $title: String!) {
    taskCreate(workspaceId: $workspaceId, input: { title: $title }) {
      task {
        id
      }
      seq
      userErrors {
        code
        message
      }
    }
  }
`;

/** While the client closes in order, what still comes in is neither printed nor a failure. */
let isStopping = false;

/** Prints one JSON line, which a reader of the pipe sees at once. */
export function print(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/**
 * `URL TOKEN WORKSPACE_ID [--after SEQ] [--until SEQ] [--title TEXT] [--task SELECTION]`; URL is the
 * http one. SELECTION, as `id title`, is what is asked of each changed task.
 */
export function readArguments() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      after: { type: "string" },
      until: { type: "string" },
      title: { type: "string", default: "Made by a client" },
      task: { type: "string" },
    },
  });
  const [url, token, workspaceId] = positionals;
  if (workspaceId === undefined) {
    throw new Error("Usage: URL TOKEN WORKSPACE_ID [--after SEQ] [--until SEQ] [--title TEXT]");
  }
  return { url, socketUrl: url.replace(/^http/, "ws"), token, workspaceId, ...values };
}

/** A position in `changes`, and when to stop. */
export class Follower {
  constructor({ workspaceId, after, until, task }) {
    this.query = task === undefined ? CHANGES : CHANGES.replace("kind", `kind task { ${task} }`);
    this.workspaceId = workspaceId;
    this.after = after;
    this.until = until === undefined ? undefined : BigInt(until);
  }

  /**
   * The request body. Its variables are read when it is written to the wire, which the clients
   * do anew for each connection: a new one therefore starts at the last seq that was seen.
   */
  get request() {
    const follower = this;
    return {
      query: follower.query,
      operationName: "Follow",
      variables: {
        workspaceId: this.workspaceId,
        get after() {
          return follower.after;
        },
      },
    };
  }

  /** Prints a message and moves on; true once the seq to stop at is reached. */
  take({ data, errors }) {
    if (isStopping) {
      return false;
    }
    if (errors !== undefined) {
      throw new Error(JSON.stringify(errors));
    }
    const { __typename: type, ...fields } = data.changes;
    print({ type, ...fields });
    this.after = type === "ResyncRequired" ? fields.head : fields.seq;
    return this.until !== undefined && BigInt(fields.seq) >= this.until;
  }
}

/**
 * Prints why a stream ended and leaves with status 1: a close event with its code, GraphQL
 * errors as they came, or the failure's own words.
 */
export function fail(reason) {
  if (isStopping) {
    return;
  }
  if (typeof reason?.code === "number") {
    print({ type: "closed", code: reason.code, reason: reason.reason });
  } else if (Array.isArray(reason)) {
    print({ type: "error", errors: reason });
  } else {
    print({ type: "error", message: String(reason?.message ?? reason) });
  }
  process.exit(1);
}

/** Leaves with status 0 after `close`, on SIGTERM or when called. */
export function stopWith(close) {
  const stop = async () => {
    isStopping = true;
    await close();
    process.exit(0);
  };
  process.once("SIGTERM", stop);
  return stop;
}
