// What happens in the cluster, as it happens: the facts that the log produces, newest first.

import { useDeferredValue, useState } from "react";
import { Link } from "wouter";
import type { Fact } from "../api/types";
import { useFollowed } from "../state/live";
import { useWorld } from "../state/store";
import { Empty } from "../ui/parts";

const SHOWN_MAX = 300;

export function Events() {
  const store = useFollowed("facts=true");
  const live = useWorld(store, (world) => world.facts);
  const [held, setHeld] = useState<readonly Fact[] | null>(null);
  const [text, setText] = useState("");
  const [kind, setKind] = useState("");
  const facts = useDeferredValue(held ?? live);
  const kinds = [...new Set(facts.map((fact) => fact.kind))].sort();
  const shown = facts.filter((fact) => (kind === "" || fact.kind === kind) && matches(fact, text)).slice(0, SHOWN_MAX);
  return (
    <>
      <h1>Events</h1>
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
        <table className="rows events">
          <thead>
            <tr>
              <th>index</th>
              <th>what</th>
              <th>about</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((fact) => (
              <tr key={fact.id}>
                <td className="number">{fact.index}</td>
                <td>
                  <code>{fact.kind}</code>
                </td>
                <td>
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

function About({ fact }: { readonly fact: Fact }) {
  return Object.entries(fact.about).map(([name, value]) => (
    <span key={name} className="about">
      <small>{name}</small>{" "}
      {name === "run" ? <Link href={`/runs/${String(value)}`}>{String(value)}</Link> : <code>{told(value)}</code>}
    </span>
  ));
}

function told(value: unknown): string {
  const text = typeof value === "string" ? value : Array.isArray(value) ? value.join(", ") : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
