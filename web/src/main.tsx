import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { LiveProvider } from "./state/live";
import "./styles/theme.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/build.css";
import "./styles/run.css";
import "./styles/narrow.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <LiveProvider>
      <App />
    </LiveProvider>
  </StrictMode>,
);

// The rest of the page is fetched as soon as there is nothing better to do: the master that serves it may be gone by
// the time somebody wants it, and then only data comes from the others.
const soon = window.requestIdleCallback ?? ((then: () => void) => setTimeout(then, 500));
soon(() => {
  for (const part of [import("./build/constructor"), import("./build/editor"), import("./pages/declaration")]) {
    part.catch(() => undefined); // asked for again when it is needed
  }
});
