// All runs: filter, progress, and the way to each.

import { useState } from "react";
import { Link, useLocation, useSearch } from "wouter";
import type { Page, RunView } from "../api/types";
import { matches, runsPath } from "../runs/filter";
import { Labels } from "../runs/labels";
import { useLive } from "../state/live";
import { useWorld } from "../state/store";
import { Empty, Progress, StateBadge } from "../ui/parts";
import { dateTime, duration } from "../ui/time";

const RECENT = 200; // what the stream sends at first; older runs are asked for
const STATES = ["", "RUNNING", "WAITING", "PENDING", "COMPLETED", "FAILED", "CANCELLED"];

export function Runs() {
  const { store, client } = useLive();
  const live = useWorld(store, (world) => world.runs);
  const [older, setOlder] = useState<readonly RunView[]>([]);
  const [isAtEnd, setAtEnd] = useState(false);
  const hasMore = !isAtEnd && live.size >= RECENT;
  const text = new URLSearchParams(useSearch()).get("filter") ?? ""; // in the address: a label leads here
  const [, go] = useLocation();
  const [state, setState] = useState("");

  const known = new Map(older.map((run) => [run.id, run]));
  for (const [id, run] of live) known.set(id, run);
  const shown = [...known.values()]
    .filter((run) => (state === "" || run.state === state) && matches(run, text))
    .sort((a, b) => b.created_ms - a.created_ms || b.id.localeCompare(a.id));

  async function more() {
    const last = [...known.values()].sort((a, b) => a.created_ms - b.created_ms)[0];
    const page = await client.get<Page<RunView>>(`/api/v1/runs?limit=200${last ? `&before=${last.id}` : ""}`);
    setOlder([...older, ...page.items]);
    setAtEnd(page.next === null);
  }

  return (
    <>
      <h1>Runs</h1>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input
          type="search"
          placeholder="name, id, agent run or label=value"
          aria-label="Filter by name, id, agent run or label"
          value={text}
          onChange={(event) => go(runsPath(event.target.value), { replace: true })}
        />
        <select aria-label="State" value={state} onChange={(event) => setState(event.target.value)}>
          {STATES.map((each) => (
            <option key={each} value={each}>
              {each === "" ? "every state" : each.toLowerCase()}
            </option>
          ))}
        </select>
        <span>{shown.length} shown</span>
      </form>
      <RunRows runs={shown} />
      {hasMore && (
        <button type="button" onClick={() => void more()}>
          Older runs
        </button>
      )}
    </>
  );
}

export function RunRows({ runs }: { readonly runs: readonly RunView[] }) {
  if (runs.length === 0) return <Empty>No runs.</Empty>;
  return (
    <table className="rows cards-when-narrow">
      <thead>
        <tr>
          <th>run</th>
          <th>state</th>
          <th>progress</th>
          <th className="number">jobs</th>
          <th>created</th>
          <th className="number">took</th>
        </tr>
      </thead>
      <tbody>
        {runs.map((run) => (
          <tr key={run.id}>
            <td>
              <Link href={`/runs/${run.id}`}>{run.name}</Link> <small className="id">{run.id}</small>
              <Labels labels={run.labels} />
            </td>
            <td data-label="state">
              <StateBadge state={run.state} />
            </td>
            <td data-label="progress">
              <Progress counts={run.jobs} />
            </td>
            <td className="number" data-label="jobs">{Object.values(run.jobs).reduce((sum, count) => sum + count, 0)}</td>
            <td data-label="created">{dateTime(run.created_ms)}</td>
            <td className="number" data-label="took">{run.over ? duration(run.ended_ms - run.created_ms) : "…"}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
