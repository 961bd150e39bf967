import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { LiveProvider } from "./state/live";
import "./styles/theme.css";
import "./styles/frame.css";
import "./styles/parts.css";
import "./styles/build.css";

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(
  <StrictMode>
    <LiveProvider>
      <App />
    </LiveProvider>
  </StrictMode>,
);
