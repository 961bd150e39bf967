// The frame of every page: where one can go, how the cluster is, and whether the page is live.

import { lazy, Suspense, useEffect, useState, type ReactNode } from "react";
import { Link, Route, Switch, useRoute } from "wouter";
import { Icon, type IconName } from "./ui/icon";
import { Agents } from "./pages/agents";
import { Events } from "./pages/events";
import { Keys } from "./pages/keys";
import { Orchestrator } from "./pages/orchestrator";
import { RunPage } from "./pages/run";
import { Services } from "./pages/services";
import { Runs } from "./pages/runs";
import { useLive } from "./state/live";
import { useWorld } from "./state/store";

const Constructor = lazy(() => import("./build/constructor"));
const PLACES = [
  { path: "/", label: "Orchestrator", icon: "orchestrator" },
  { path: "/runs", label: "Runs", icon: "runs" },
  { path: "/dags/new", label: "Constructor", icon: "constructor" },
  { path: "/services", label: "Services", icon: "service" },
  { path: "/agents", label: "Agent runs", icon: "agents" },
  { path: "/keys", label: "Keys", icon: "keys" },
  { path: "/events", label: "Events", icon: "events" },
] as const;

export function App() {
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <nav className="rail" aria-label="Pages">
        <Link href="/" className="brand">
          <img src="/titan.svg" alt="" width={26} height={26} /> <span>Titan</span>
        </Link>
        {PLACES.map((place) => (
          <Place key={place.path} {...place} />
        ))}
        <ThemeSwitch />
      </nav>
      <div className="body">
        <StatusBar />
        <main id="main" tabIndex={-1}>
          <Switch>
            <Route path="/" component={Orchestrator} />
            <Route path="/runs" component={Runs} />
            <Route path="/runs/:run">{(params) => <RunPage key={params.run} run={params.run} />}</Route>
            <Route path="/dags/new">
              <Suspense fallback={<p className="empty">Loading…</p>}>
                <Constructor />
              </Suspense>
            </Route>
            <Route path="/services" component={Services} />
            <Route path="/agents" component={Agents} />
            <Route path="/keys" component={Keys} />
            <Route path="/events" component={Events} />
            <Route>
              <p className="empty">There is no such page.</p>
            </Route>
          </Switch>
        </main>
      </div>
    </div>
  );
}

function Place({ path, label, icon }: { readonly path: string; readonly label: string; readonly icon: IconName }) {
  const [isExact] = useRoute(path);
  const [isBelow] = useRoute(path === "/" ? "/-" : `${path}/*`);
  return (
    <Link href={path} aria-current={isExact || isBelow ? "page" : undefined}>
      <Icon name={icon} /> <span>{label}</span>
    </Link>
  );
}

function StatusBar(): ReactNode {
  const { store, client } = useLive();
  const cluster = useWorld(store, (world) => world.cluster);
  const isLive = useWorld(store, (world) => world.isLive);
  const index = useWorld(store, (world) => world.index);
  const served = client.masters.base.replace("http://", "");
  return (
    <div className="status" role="status">
      <span className={isLive ? "live" : "live is-lost"}>
        {isLive ? "live" : "reconnecting…"} <code>{served}</code>
      </span>
      {cluster?.masters.map((master) => (
        <span key={master.address} className={`master role-${master.role}`} title={`${master.address} ${master.role}`}>
          {master.role === "leader" ? "★" : master.role === "down" ? "✕" : "●"}{" "}
          <code>{master.address.split(":").at(-1)}</code>
        </span>
      ))}
      <span className="spacer" />
      <span title="applied index of the log">
        index <code>{index}</code>
      </span>
    </div>
  );
}

function ThemeSwitch() {
  const [theme, setTheme] = useState(() => localStorage.getItem("theme") ?? "");
  useEffect(() => {
    if (theme === "") delete document.documentElement.dataset["theme"];
    else document.documentElement.dataset["theme"] = theme;
    localStorage.setItem("theme", theme);
  }, [theme]);
  const next = theme === "" ? "light" : theme === "light" ? "dark" : "";
  return (
    <button type="button" className="theme" onClick={() => setTheme(next)} title="Theme: system, light, dark">
      {theme === "" ? "◑ system" : theme === "light" ? "☀ light" : "☾ dark"}
    </button>
  );
}
