// The cluster at a glance: masters, workers and what they run now, the newest runs.

import { Link } from "wouter";
import type { MasterView, PoolView, WorkerView } from "../api/types";
import { useLive } from "../state/live";
import { useRefetched } from "../state/refetched";
import { useWorld } from "../state/store";
import { useAct } from "../ui/act";
import { Empty, Panel } from "../ui/parts";
import { RunRows } from "./runs";

const RECENT = 8;

export function Orchestrator() {
  const { store } = useLive();
  const cluster = useWorld(store, (world) => world.cluster);
  const workers = useWorld(store, (world) => world.workers);
  const runs = useWorld(store, (world) => world.runs);
  const listed = [...workers.values()].sort((a, b) => (a.name || a.id).localeCompare(b.name || b.id, undefined, { numeric: true }));
  const recent = [...runs.values()].sort((a, b) => b.created_ms - a.created_ms).slice(0, RECENT);
  return (
    <>
      <h1>Orchestrator</h1>
      <Panel title="Masters">
        <div className="cards">
          {cluster?.masters.map((master) => <MasterCard key={master.address} master={master} />) ?? (
            <Empty>No answer yet.</Empty>
          )}
        </div>
      </Panel>
      <Panel title={`Workers (${listed.length})`}>
        {listed.length === 0 ? (
          <Empty>
            No worker has joined. Start one: <code>titan worker --masters {cluster?.leader ?? "HOST:PORT"}</code>
          </Empty>
        ) : (
          <div className="cards">
            {listed.map((worker) => (
              <WorkerCard key={worker.id} worker={worker} />
            ))}
          </div>
        )}
      </Panel>
      <Pools />
      <Panel title="Newest runs" actions={<Link href="/runs">all runs</Link>}>
        <RunRows runs={recent} />
      </Panel>
    </>
  );
}

/** Pools start workers; nothing is shown of a cluster that has none. */
function Pools() {
  const { client } = useLive();
  const act = useAct();
  const pools = useRefetched<PoolView>("/api/v1/pools");
  if (pools === null || pools.length === 0) return null;
  return (
    <Panel title="Pools">
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      <div className="cards">
        {pools.map((pool) => (
          <article key={pool.name} className="card">
            <h3>
              <code>{pool.name}</code> <small>{pool.provider}</small>
            </h3>
            <dl>
              <dt>workers</dt>
              <dd>
                {pool.workers} of {pool.workers_min} to {pool.workers_max}
              </dd>
              <dt>starting</dt>
              <dd>{pool.starting}</dd>
            </dl>
            <p className="tags">
              {pool.capabilities.map((tag) => (
                <span key={tag} className="tag">
                  {tag}
                </span>
              ))}
            </p>
            {pool.last_error !== "" && <p className="problem">{pool.last_error}</p>}
            <button
              type="button"
              disabled={act.isBusy || pool.state !== "active"}
              onClick={() => void act.run(() => client.change("POST", `/api/v1/pools/${encodeURIComponent(pool.name)}/launches`, { count: 1 }))}
            >
              Launch a worker
            </button>
          </article>
        ))}
      </div>
    </Panel>
  );
}

function MasterCard({ master }: { readonly master: MasterView }) {
  return (
    <article className={`card master-card role-${master.role}`}>
      <h3>
        <span aria-hidden="true">{master.role === "leader" ? "★" : master.role === "down" ? "✕" : "●"}</span>{" "}
        <code>{master.address}</code>
      </h3>
      <dl>
        <dt>role</dt>
        <dd>{master.is_learner ? "learner" : master.role}</dd>
        <dt>term</dt>
        <dd>{master.term}</dd>
        <dt>applied</dt>
        <dd>{master.applied_index}</dd>
        <dt>behind</dt>
        <dd>{master.lag}</dd>
      </dl>
    </article>
  );
}

function WorkerCard({ worker }: { readonly worker: WorkerView }) {
  const share = worker.slots > 0 ? Math.min(1, worker.running / worker.slots) : 0;
  return (
    <article className={`card worker-card worker-${worker.state}`}>
      <h3>
        <code>{worker.name || worker.id}</code> <small>{worker.state}</small>
      </h3>
      <div className="meter" title={`${worker.running} attempts on ${worker.slots} slots`}>
        <i style={{ width: `${100 * share}%` }} />
      </div>
      <p className="tags">
        {worker.capabilities.map((tag) => (
          <span key={tag} className="tag">
            {tag}
          </span>
        ))}
      </p>
      <ul className="now">
        {worker.jobs.slice(0, 4).map((job) => (
          <li key={job}>
            <Link href={`/runs/${job.split("/")[0]}`}>{job.split("/")[1]}</Link>
          </li>
        ))}
        {worker.jobs.length > 4 && <li>and {worker.jobs.length - 4} more</li>}
      </ul>
    </article>
  );
}
