// The same small application over any client library: query, subscribe behind it, mutate.
import { print } from "./follower.mjs";

/**
 * Runs until the change of the own mutation has arrived, and `--until` where it is given.
 *
 * The list says which seq it shows; the stream starts behind it, so nothing falls in between.
 */
export async function runApplication({ given, follower, query, mutate, follow, stop }) {
  const { workspaceId, title } = given;
  const { tasks } = await query({ workspaceId });
  print({ type: "query", seq: tasks.seq, totalCount: tasks.totalCount, shown: tasks.nodes.length });
  follower.after ??= tasks.seq;

  let isCreating = false;
  let created;
  let isReached = given.until === undefined;
  const seen = new Set();

  const finishWhenDone = () => {
    if (created !== undefined && seen.has(created.task.id) && isReached) {
      stop();
    }
  };
  const create = async () => {
    isCreating = true;
    created = (await mutate({ workspaceId, title })).taskCreate;
    const { task, seq, userErrors } = created;
    print({ type: "mutation", seq, taskId: task?.id ?? null, userErrors });
    if (task === null) {
      throw new Error("The task was refused.");
    }
    finishWhenDone();
  };

  await new Promise((_resolve, reject) => {
    follow({ workspaceId, after: follower.after }, (result) => {
      isReached = follower.take(result) || isReached;
      seen.add(result.data.changes.subjectId);
      if (result.data.changes.__typename === "CaughtUp" && !isCreating) {
        create().catch(reject);
      }
      finishWhenDone();
    });
  });
}
