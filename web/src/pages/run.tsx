// One run: its numbers, the live graph, the same by time and as a list, how it has changed, and the job that was
// clicked.

import { useCallback, useState } from "react";
import { AddJob } from "./add-job";
import { EditBar } from "./edit-bar";
import { GateBanners } from "./gate-banner";
import { History } from "./history";
import { JobEdits } from "./job-edits";
import { JobPanel } from "./job-panel";
import { PastBar } from "./past-bar";
import { RunHead } from "./run-head";
import { Gantt } from "../gantt/gantt";
import type { Vertex } from "../graph/layout";
import { RunGraph } from "../graph/run-graph";
import { useFollowed, useLive } from "../state/live";
import { useWorld } from "../state/store";
import { useEdits } from "../state/use-edits";
import { useAct } from "../ui/act";
import { JobList } from "../ui/job-list";
import { Empty, Pills } from "../ui/parts";
import { Tabs } from "../ui/tabs";

const VIEWS = ["graph", "gantt", "list", "history"] as const;
type View = (typeof VIEWS)[number];

interface Looked {
  readonly revision: number;
  readonly vertices: readonly Vertex[] | null; // null until they are here
}

export function RunPage({ run }: { readonly run: string }) {
  const { client } = useLive();
  const store = useFollowed(`run=${encodeURIComponent(run)}`);
  const view = useWorld(store, (world) => world.runs.get(run));
  const jobs = useWorld(store, (world) => world.jobs);
  const index = useWorld(store, (world) => world.index);
  const act = useAct();
  const editing = useEdits(run, view?.revision ?? 0, jobs);
  const [chosen, setChosen] = useState(() => new URLSearchParams(window.location.search).get("job") ?? "");
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState<View>("graph");
  const [level, setLevel] = useState<ReadonlySet<string> | null>(null); // only these jobs are listed
  const [looked, setLooked] = useState<Looked | null>(null);
  const [grows, setGrows] = useState<string | null>(null); // the parent of a job to be added
  const listLevel = useCallback((found: ReadonlySet<string>) => (setLevel(found), setShown("list")), []);

  if (view === undefined) {
    return <Empty>{index === 0 ? "Loading…" : `There is no run ${run}.`}</Empty>;
  }
  async function post(path: string) {
    await act.run(() => client.change("POST", `/api/v1/runs/${run}/${path}`));
  }
  function look(revision: number | null) {
    setLooked(revision === null ? null : { revision, vertices: null });
    setShown("graph");
  }
  const { draft } = editing;
  const job = jobs.get(chosen);
  const isNew = draft?.added.some((each) => each.id === chosen) === true;
  const isSplit = job !== undefined || isNew;
  const same = { jobs, chosen, filter, onChoose: setChosen };
  const edits = draft !== null && isSplit && <JobEdits key={chosen} id={chosen} run={run} jobs={jobs} draft={draft} editing={editing} />;
  return (
    <div className="run-page">
      <RunHead
        view={view}
        act={act}
        isEditing={draft !== null}
        onAdd={() => setGrows(chosen)}
        onEdit={() => (look(null), editing.begin())}
        onStop={() => void post("cancel")}
      />
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      <GateBanners run={run} jobs={jobs} />
      {draft !== null && <EditBar editing={editing} draft={draft} />}
      {looked !== null && (
        <PastBar
          run={run}
          revision={looked.revision}
          now={view.revision}
          onFound={(vertices) => setLooked({ revision: looked.revision, vertices })}
          onLeave={() => look(null)}
        />
      )}
      <div className="run-tools">
        <Tabs label="View" names={VIEWS} chosen={shown} onChoose={setShown} />
        <Pills counts={view.jobs} chosen={filter} onChoose={setFilter} />
        {shown === "list" && level !== null && (
          <button type="button" className="pill" onClick={() => setLevel(null)} title="List all jobs again">
            {level.size} jobs of a level ✕
          </button>
        )}
      </div>
      <div className={isSplit ? "split" : "split is-whole"}>
        <div className="canvas">
          {shown === "graph" && (
            <RunGraph
              {...same}
              store={store}
              draft={draft}
              past={looked?.vertices ?? null}
              onGrow={view.over || looked !== null ? null : setGrows}
              onDraw={draft === null ? null : editing.draw}
              onArrow={draft === null ? null : editing.toggle}
              onLevel={listLevel}
            />
          )}
          {shown === "gantt" && <Gantt {...same} />}
          {shown === "list" && <JobList {...same} only={level} />}
          {shown === "history" && <History run={run} revision={view.revision} onLook={look} />}
        </div>
        {job && (
          <JobPanel key={job.id} job={job} onClose={() => setChosen("")} onAct={post}>
            {edits}
          </JobPanel>
        )}
        {isNew && (
          <aside className="job-panel" aria-label={`Job ${chosen}`}>
            <h2>{chosen}</h2>
            <p className="reason">It is added when the changes are applied.</p>
            {edits}
          </aside>
        )}
      </div>
      {grows !== null && <AddJob run={run} parent={grows} jobs={jobs} editing={editing} onClose={() => setGrows(null)} />}
    </div>
  );
}
