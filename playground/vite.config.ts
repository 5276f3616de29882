import { defineConfig } from "vite";

export default defineConfig({
  // The API serves the files here, and the page itself at /graphql.
  base: "/playground/",
  build: {
    target: "es2022",
    // The polyfill would be dead weight: every browser of the target has modulepreload.
    modulePreload: { polyfill: false },
    // Monaco, the editor, is 3 MB in one piece; the page comes from the same machine.
    chunkSizeWarningLimit: 4096,
    // Hundreds of "use client" marks, meant for servers that render React.
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
  worker: { format: "es" },
});
