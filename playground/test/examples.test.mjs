// Every example operation is valid against the schema that clients see.
// `SCHEMA=FILE npm test` checks against another SDL than the snapshot of this repository.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { buildSchema, parse, validate } from "graphql";

const FOLDER = new URL("../examples/", import.meta.url);
const SNAPSHOT = new URL("../../schema/schema.graphql", import.meta.url);
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".graphql"));

const schema = buildSchema(readFileSync(process.env.SCHEMA ?? SNAPSHOT, "utf8"));

test("the tour has its nine stations", () => {
  assert.equal(NAMES.length, 9);
});

for (const name of NAMES) {
  test(`${name} is one valid, named operation`, () => {
    const document = parse(readFileSync(new URL(name, FOLDER), "utf8"));

    assert.deepEqual(validate(schema, document), []);
    assert.equal(document.definitions.length, 1);
    // The name becomes the tab's title.
    assert.ok(document.definitions[0].name);
  });
}
