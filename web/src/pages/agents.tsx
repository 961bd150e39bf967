// Agent runs: the runs that belong together by their agent run, as stages on one timeline.

import { useState } from "react";
import { Link, useSearch } from "wouter";
import type { RunView } from "../api/types";
import { useLive } from "../state/live";
import { useNow } from "../state/now";
import { useWorld } from "../state/store";
import { Empty, Panel, StateBadge } from "../ui/parts";
import { classOf } from "../ui/states";
import { dateTime, duration } from "../ui/time";

export interface Stage {
  readonly run: RunView;
  readonly from: number; // shares of the whole, 0 to 1
  readonly length: number;
}

/** Runs by agent run, the one with the newest run first; their stages by time. */
export function grouped(runs: Iterable<RunView>): ReadonlyMap<string, readonly RunView[]> {
  const groups = new Map<string, RunView[]>();
  for (const run of [...runs].sort((a, b) => b.created_ms - a.created_ms)) {
    if (run.agent_run_id === "") continue;
    const group = groups.get(run.agent_run_id);
    if (group === undefined) groups.set(run.agent_run_id, [run]);
    else group.push(run);
  }
  for (const group of groups.values()) group.reverse();
  return groups;
}

export function staged(runs: readonly RunView[], nowMs: number): readonly Stage[] {
  const end = (run: RunView) => (run.over ? run.ended_ms : Math.max(nowMs, run.created_ms));
  const fromMs = Math.min(...runs.map((run) => run.created_ms));
  const wholeMs = Math.max(1, Math.max(...runs.map(end)) - fromMs);
  return runs.map((run) => ({
    run,
    from: (run.created_ms - fromMs) / wholeMs,
    length: Math.max(0.004, (end(run) - run.created_ms) / wholeMs),
  }));
}

export function Agents() {
  const { store } = useLive();
  const runs = useWorld(store, (world) => world.runs);
  const wanted = new URLSearchParams(useSearch()).get("run") ?? "";
  const [text, setText] = useState(wanted);
  const groups = [...grouped(runs.values())].filter(([id]) => id.toLowerCase().includes(text.trim().toLowerCase()));
  const nowMs = useNow(groups.some(([, group]) => group.some((run) => !run.over)) ? 500 : 0);
  return (
    <>
      <h1>Agent runs</h1>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" placeholder="agent run" aria-label="Filter by agent run" value={text} onChange={(event) => setText(event.target.value)} />
        <span>{groups.length} shown, of the newest 200 runs</span>
      </form>
      {groups.length === 0 && (
        <Empty>
          No agent runs. Runs that are submitted with <code>agent_run_id</code> are shown here as stages of one timeline.
        </Empty>
      )}
      {groups.map(([id, group]) => (
        <AgentRun key={id} id={id} runs={group} nowMs={nowMs} />
      ))}
    </>
  );
}

function AgentRun({ id, runs, nowMs }: { readonly id: string; readonly runs: readonly RunView[]; readonly nowMs: number }) {
  const first = runs[0];
  const jobs = runs.reduce((sum, run) => sum + Object.values(run.jobs).reduce((own, count) => own + count, 0), 0);
  return (
    <Panel
      title={id}
      actions={
        <small>
          {runs.length} stages, {jobs} jobs, since {dateTime(first?.created_ms ?? 0)}
        </small>
      }
    >
      <ol className="stages">
        {staged(runs, nowMs).map(({ run, from, length }) => (
          <li key={run.id}>
            <Link href={`/runs/${run.id}`} className="stage-name">
              {run.name}
            </Link>
            <StateBadge state={run.state} />
            <span className="stage-track">
              <i className={classOf(run.state)} style={{ left: `${100 * from}%`, width: `${100 * length}%` }} />
            </span>
            <span className="number">{run.over ? duration(run.ended_ms - run.created_ms) : "…"}</span>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
