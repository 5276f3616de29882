// What is learned from answers, and how left-out variables are filled.
import assert from "node:assert/strict";
import { test } from "node:test";

import { parse } from "graphql";
import { runnerImport } from "vite";

const load = async (path) =>
  (await runnerImport(new URL(path, import.meta.url).pathname, { configFile: false })).module;
const { fill, learn } = await load("../src/session.ts");
const { position } = await load("../src/live.ts");

const ADA = {
  accessToken: "t1",
  expiresAt: "2027-01-01T00:00:00Z",
  name: "Ada",
  ids: { workspaceId: "w1" },
};

function operation(source) {
  return parse(source).definitions[0];
}

test("a sign-up gives token, name and the first workspace", () => {
  const payload = {
    accessToken: "t1",
    expiresAt: "2027-01-01T00:00:00Z",
    viewer: { name: "Ada", workspaces: [{ id: "w1" }, { id: "w2" }] },
    userErrors: [],
  };

  assert.deepEqual(learn(null, { signUp: payload }), ADA);
});

test("another account's sign-in forgets the ids of the one before", () => {
  const before = { ...ADA, ids: { workspaceId: "w1", taskId: "k1" } };

  const after = learn(before, { again: { accessToken: "t2", viewer: { email: "g@example.com" } } });

  assert.deepEqual(after, { accessToken: "t2", expiresAt: null, name: "g@example.com", ids: {} });
});

test("a refused sign-in changes nothing", () => {
  const refused = { signIn: { accessToken: null, viewer: null, userErrors: [{ code: "INVALID" }] } };

  assert.equal(learn(null, refused), null);
  assert.deepEqual(learn(ADA, refused), ADA);
});

test("the ids of what mutations show are kept, the last one wins", () => {
  const data = {
    tagCreate: { tag: { id: "g1" } },
    one: { task: { id: "k1" } },
    two: { task: { id: "k2" } },
    refused: { task: null },
  };

  assert.deepEqual(learn(ADA, data).ids, { workspaceId: "w1", tagId: "g1", taskId: "k2" });
});

test("answers of any other shape are no news", () => {
  for (const data of [undefined, null, 7, "x", [], { a: null, b: 1, c: [{ task: { id: "k" } }] }]) {
    assert.deepEqual(learn(ADA, data), ADA);
  }
});

test("only declared variables without a value of their own are filled", () => {
  const query = operation("query Q($workspaceId: ID!, $taskId: ID, $x: Int) { a }");
  const withDefault = operation('query Q($workspaceId: ID! = "w0") { a }');

  assert.deepEqual(fill(ADA, query, { x: 1 }), { workspaceId: "w1", x: 1 });
  assert.deepEqual(fill(ADA, query, { workspaceId: null }), { workspaceId: null });
  assert.deepEqual(fill(ADA, withDefault, {}), {});
  assert.deepEqual(fill(null, query, { x: 1 }), { x: 1 });
  assert.deepEqual(fill(ADA, undefined, { x: 1 }), { x: 1 });
});

test("a stream goes on behind its last seq, after a resync behind the head", () => {
  const resync = { __typename: "ResyncRequired", seq: "3", head: "90" };

  assert.equal(position({ data: { changes: { __typename: "Change", seq: "4" } } }), "4");
  assert.equal(position({ data: { c: resync } }), "90");
  assert.equal(position({ data: { taskView: null } }), undefined);
  assert.equal(position({ data: null }), undefined);
});
