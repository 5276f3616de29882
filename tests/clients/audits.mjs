// Runs graphql-http's audits of GraphQL over HTTP: `URL [--header "Name: value"]...`.
import { parseArgs } from "node:util";

import { serverAudits } from "graphql-http";

import { print } from "./follower.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { header: { type: "string", multiple: true, default: [] } },
});
const [url] = positionals;
if (url === undefined) {
  throw new Error('Usage: URL [--header "Name: value"]...');
}

/** Adds the given headers, never over one that an audit sets itself. */
function fetchFn(resource, init = {}) {
  const headers = new Headers(init.headers);
  for (const header of values.header) {
    const [name, value] = header.split(/:\s*(.*)/s);
    if (!headers.has(name)) {
      headers.set(name, value);
    }
  }
  return fetch(resource, { ...init, headers });
}

for (const audit of serverAudits({ url, fetchFn })) {
  const { id, name, status, reason = null } = await audit.fn();
  print({ id, name, status, reason });
}
