// The frame of every page: where one can go, how the cluster is, and whether the page is live.

import { Suspense, useEffect, useState, type ReactNode } from "react";
import { Link, Route, Switch, useLocation, useRoute } from "wouter";
import { Icon, type IconName } from "./ui/icon";
import { Agents, Constructor, DeadLetters, EditSchedule, Events, Keys, NewSchedule, RunPage, SchedulePage, Schedules, Services } from "./pages";
import { Orchestrator } from "./pages/orchestrator";
import { Runs } from "./pages/runs";
import { useLive } from "./state/live";
import { useWorld } from "./state/store";
import { Who } from "./ui/who";

const PLACES = [
  { path: "/", label: "Orchestrator", icon: "orchestrator" },
  { path: "/runs", label: "Runs", icon: "runs" },
  { path: "/dags/new", label: "Constructor", icon: "constructor" },
  { path: "/schedules", label: "Schedules", icon: "schedules" },
  { path: "/services", label: "Services", icon: "service" },
  { path: "/agents", label: "Agent runs", icon: "agents" },
  { path: "/dead", label: "Dead letters", icon: "dead" },
  { path: "/keys", label: "Keys", icon: "keys" },
  { path: "/events", label: "Events", icon: "events" },
] as const;

export function App() {
  return (
    <div className="frame">
      <a className="skip" href="#main">
        Skip to the page
      </a>
      <Rail />
      <div className="body">
        <StatusBar />
        <main id="main" tabIndex={-1}>
          <Suspense fallback={<p className="empty">Loading…</p>}>
            <Switch>
              <Route path="/" component={Orchestrator} />
              <Route path="/runs" component={Runs} />
              <Route path="/runs/:run">{(params) => <RunPage key={params.run} run={params.run} />}</Route>
              <Route path="/dags/new">
                <Constructor />
              </Route>
              <Route path="/schedules" component={Schedules} />
              <Route path="/schedules/new" component={NewSchedule} />
              <Route path="/schedules/:name">{({ name }) => <SchedulePage key={name} name={named(name)} />}</Route>
              <Route path="/schedules/:name/edit">{({ name }) => <EditSchedule key={name} name={named(name)} />}</Route>
              <Route path="/services" component={Services} />
              <Route path="/agents" component={Agents} />
              <Route path="/dead" component={DeadLetters} />
              <Route path="/keys" component={Keys} />
              <Route path="/events" component={Events} />
              <Route>
                <p className="empty">There is no such page.</p>
              </Route>
            </Switch>
          </Suspense>
        </main>
      </div>
    </div>
  );
}

/** A name as it stands in a path: once encoded by us, and the router has decoded what it could. */
function named(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // it holds a bare per cent sign, so it was decoded before
  }
}

/** Where one can go. On a narrow screen it is folded up behind a button. */
function Rail() {
  const [place] = useLocation();
  const [isOpen, setOpen] = useState(false);
  useEffect(() => setOpen(false), [place]);
  return (
    <nav
      className={isOpen ? "rail is-open" : "rail"}
      aria-label="Pages"
      onKeyDown={(event) => {
        if (event.key === "Escape") setOpen(false);
      }}
    >
      <div className="rail-head">
        <Link href="/" className="brand">
          <img src="/titan.svg" alt="" width={26} height={26} /> <span>Titan</span>
        </Link>
        <button type="button" className="rail-menu" aria-expanded={isOpen} aria-controls="places" onClick={() => setOpen(!isOpen)}>
          <Icon name="menu" /> Menu
        </button>
      </div>
      <div className="places" id="places">
        {PLACES.map((each) => (
          <Place key={each.path} {...each} />
        ))}
        <Who className="who" />
        <ThemeSwitch />
      </div>
    </nav>
  );
}

function Place({ path, label, icon }: { readonly path: string; readonly label: string; readonly icon: IconName }) {
  const [isExact] = useRoute(path);
  const [isBelow] = useRoute(path === "/" ? "/-" : `${path}/*`);
  return (
    <Link href={path} title={label} aria-current={isExact || isBelow ? "page" : undefined}>
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
      <span aria-hidden="true">{theme === "" ? "◑" : theme === "light" ? "☀" : "☾"}</span> <span>{theme === "" ? "system" : theme}</span>
    </button>
  );
}
