// What happens in the cluster, as it happens: the facts that the log produces, newest first. And who ordered it.

import { useDeferredValue, useState } from "react";
import { useLocation, useSearch } from "wouter";
import type { Fact } from "../api/types";
import { useFollowed } from "../state/live";
import { useWorld, type Store } from "../state/store";
import { About } from "../ui/fact";
import { Empty } from "../ui/parts";
import { Tabs } from "../ui/tabs";
import { Audit } from "./audit";

const SHOWN_MAX = 300;

const TABS = ["what happened", "who did what"] as const;
type Tab = (typeof TABS)[number];

export function Events() {
  const store = useFollowed("facts=true");
  const [, go] = useLocation();
  const tab: Tab = new URLSearchParams(useSearch()).get("tab") === "audit" ? "who did what" : "what happened";
  return (
    <>
      <h1>Events</h1>
      <div className="page-tabs">
        <Tabs label="Events" names={TABS} chosen={tab} onChoose={(name) => go(name === "who did what" ? "/events?tab=audit" : "/events", { replace: true })} />
      </div>
      {tab === "who did what" ? <Audit follow={store} /> : <Facts store={store} />}
    </>
  );
}

function Facts({ store }: { readonly store: Store }) {
  const live = useWorld(store, (world) => world.facts);
  const [held, setHeld] = useState<readonly Fact[] | null>(null);
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const facts = useDeferredValue(held ?? live);
  const kinds = [...new Set(facts.map((fact) => fact.kind))].sort();
  const shown = facts.filter((fact) => (kind === "" || fact.kind === kind) && matches(fact, text)).slice(0, SHOWN_MAX);
  return (
    <>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" placeholder="run, job, worker or key" aria-label="Filter events" value={text} onChange={(event) => setText(event.target.value)} />
        <select aria-label="Kind" value={kind} onChange={(event) => setKind(event.target.value)}>
          <option value="">every kind</option>
          {kinds.map((each) => (
            <option key={each}>{each}</option>
          ))}
        </select>
        <button type="button" aria-pressed={held !== null} onClick={() => setHeld(held === null ? live : null)}>
          {held === null ? "Hold" : "Go on"}
        </button>
        <span>{shown.length} shown</span>
      </form>
      {shown.length === 0 ? (
        <Empty>Nothing has happened yet that this master remembers.</Empty>
      ) : (
        <table className="rows events cards-when-narrow">
          <thead>
            <tr>
              <th className="number">index</th>
              <th>what</th>
              <th>about</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((fact) => (
              <tr key={fact.id}>
                <td className="number" data-label="index">
                  {fact.index}
                </td>
                <td data-label="what">
                  <code>{fact.kind}</code>
                </td>
                <td data-label="about">
                  <About fact={fact} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function matches(fact: Fact, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  return wanted === "" || JSON.stringify(fact.about).toLowerCase().includes(wanted);
}
