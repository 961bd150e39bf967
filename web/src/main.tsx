import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { fetchRest } from "./pages";
import { LiveProvider } from "./state/live";
import "@xyflow/react/dist/style.css"; // before ours, which say it differently
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

fetchRest();
