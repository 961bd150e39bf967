// One run: its numbers, the live graph, the same by time and as a list, and the job that was clicked.

import { useState } from "react";
import { Link, useLocation } from "wouter";
import type { Submitted } from "../api/types";
import { AddJob } from "./add-job";
import { GateBanners } from "./gate-banner";
import { JobPanel } from "./job-panel";
import { Gantt } from "../gantt/gantt";
import { RunGraph } from "../graph/run-graph";
import { useFollowed, useLive } from "../state/live";
import { useWorld } from "../state/store";
import { useAct } from "../ui/act";
import { JobList } from "../ui/job-list";
import { Empty, Pills, Progress, StateBadge } from "../ui/parts";
import { Tabs } from "../ui/tabs";
import { dateTime, duration } from "../ui/time";

const VIEWS = ["graph", "gantt", "list"] as const;
type View = (typeof VIEWS)[number];

export function RunPage({ run }: { readonly run: string }) {
  const { client } = useLive();
  const store = useFollowed(`run=${encodeURIComponent(run)}`);
  const view = useWorld(store, (world) => world.runs.get(run));
  const jobs = useWorld(store, (world) => world.jobs);
  const index = useWorld(store, (world) => world.index);
  const act = useAct();
  const [, go] = useLocation();
  const [chosen, setChosen] = useState("");
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState<View>("graph");
  const [grows, setGrows] = useState<string | null>(null); // the parent of a job to be added

  if (view === undefined) {
    return <Empty>{index === 0 ? "Loading…" : `There is no run ${run}.`}</Empty>;
  }
  async function post(path: string) {
    await act.run(() => client.change("POST", `/api/v1/runs/${run}/${path}`));
  }
  async function redeploy() {
    const made = await act.run(() => client.change<Submitted>("POST", `/api/v1/runs/${run}/redeploy`));
    if (made !== undefined) go(`/runs/${made.run}`);
  }
  const job = jobs.get(chosen);
  const same = { jobs, chosen, filter, onChoose: setChosen };
  return (
    <div className="run-page">
      <header className="run-head">
        <div>
          <h1>{view.name}</h1>
          <small className="id">{view.id}</small>
        </div>
        <StateBadge state={view.state} />
        <Progress counts={view.jobs} />
        <span>{dateTime(view.created_ms)}</span>
        <span>{view.over ? duration(view.ended_ms - view.created_ms) : "live"}</span>
        {view.agent_run_id !== "" && (
          <Link href={`/agents?run=${encodeURIComponent(view.agent_run_id)}`}>agent run {view.agent_run_id}</Link>
        )}
        <span className="spacer" />
        <div className="actions">
          {!view.over && (
            <>
              <button type="button" onClick={() => setGrows(chosen)}>
                Add job
              </button>
              <button type="button" className="danger" onClick={() => void post("cancel")}>
                Stop
              </button>
            </>
          )}
          <button type="button" onClick={() => void redeploy()} disabled={act.isBusy} title="The same jobs as a new run">
            Redeploy
          </button>
          <Link className="button" href={`/dags/new?run=${run}`} title="Edit a copy in the constructor">
            Edit
          </Link>
        </div>
      </header>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      <GateBanners run={run} jobs={jobs} />
      <div className="run-tools">
        <Tabs label="View" names={VIEWS} chosen={shown} onChoose={setShown} />
        <Pills counts={view.jobs} chosen={filter} onChoose={setFilter} />
      </div>
      <div className={job ? "split" : "split is-whole"}>
        <div className="canvas">
          {shown === "graph" && <RunGraph {...same} store={store} onGrow={view.over ? null : setGrows} />}
          {shown === "gantt" && <Gantt {...same} />}
          {shown === "list" && <JobList {...same} />}
        </div>
        {job && <JobPanel key={job.id} job={job} onClose={() => setChosen("")} onAct={post} />}
      </div>
      {grows !== null && <AddJob run={run} parent={grows} jobs={jobs} onClose={() => setGrows(null)} />}
    </div>
  );
}
