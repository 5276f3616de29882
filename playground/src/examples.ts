/** The example operations: files in `examples/`, in the order of their names, one tab each. */
const FILES = import.meta.glob<string>("../examples/*.graphql", {
  query: "?raw",
  import: "default",
  eager: true,
});

export const EXAMPLES = Object.keys(FILES)
  .sort()
  .map((path) => ({ query: FILES[path] ?? "" }));
