import "graphiql/setup-workers/vite";
import "graphiql/style.css";
import "./playground.css";

import { createRoot } from "react-dom/client";

import { Playground } from "./playground.tsx";

const root = document.getElementById("root");
if (root === null) {
  throw new Error("index.html has no element #root.");
}
createRoot(root).render(<Playground />);
