// One run: the live graph, its numbers, and the job that was clicked.

import { useState } from "react";
import { ApiError } from "../api/client";
import { JobPanel } from "./job-panel";
import { RunGraph } from "../graph/run-graph";
import { useFollowed, useLive } from "../state/live";
import { useWorld } from "../state/store";
import { Empty, Pills, Progress, StateBadge } from "../ui/parts";
import { dateTime, duration } from "../ui/time";

export function RunPage({ run }: { readonly run: string }) {
  const { client } = useLive();
  const store = useFollowed(`run=${encodeURIComponent(run)}`);
  const view = useWorld(store, (world) => world.runs.get(run));
  const jobs = useWorld(store, (world) => world.jobs);
  const index = useWorld(store, (world) => world.index);
  const [chosen, setChosen] = useState("");
  const [filter, setFilter] = useState("");
  const [problem, setProblem] = useState("");

  if (view === undefined) {
    return <Empty>{index === 0 ? "Loading…" : `There is no run ${run}.`}</Empty>;
  }
  async function act(path: string) {
    setProblem("");
    try {
      await client.change("POST", `/api/v1/runs/${run}/${path}`);
    } catch (error) {
      setProblem(error instanceof ApiError ? `${error.message} ${error.hint}` : String(error));
    }
  }
  const job = jobs.get(chosen);
  return (
    <div className="run-page">
      <header className="run-head">
        <h1>
          {view.name} <small className="id">{view.id}</small>
        </h1>
        <StateBadge state={view.state} />
        <Progress counts={view.jobs} />
        <span>{dateTime(view.created_ms)}</span>
        <span>{view.over ? duration(view.ended_ms - view.created_ms) : "running"}</span>
        <span className="spacer" />
        {!view.over && (
          <button type="button" className="danger" onClick={() => void act("cancel")}>
            Stop
          </button>
        )}
      </header>
      {problem !== "" && <p className="problem">{problem}</p>}
      <Pills counts={view.jobs} chosen={filter} onChoose={setFilter} />
      <div className={job ? "split" : "split is-whole"}>
        <div className="canvas">
          <RunGraph jobs={jobs} chosen={chosen} filter={filter} onChoose={setChosen} />
        </div>
        {job && <JobPanel key={job.id} job={job} onClose={() => setChosen("")} onAct={act} />}
      </div>
    </div>
  );
}
