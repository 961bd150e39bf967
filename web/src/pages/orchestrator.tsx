// The cluster at a glance: masters, throughput, workers with what they run, what waits, and what happened last.

import { Link } from "wouter";
import type { Fleet, MasterView } from "../api/types";
import { Pools } from "../fleet/pools";
import { Pulse } from "../fleet/pulse";
import { Queues } from "../fleet/queues";
import { Recent } from "../fleet/recent";
import { Workers } from "../fleet/workers";
import { useLive } from "../state/live";
import { usePolled } from "../state/polled";
import { useWorld } from "../state/store";
import { Empty, Panel } from "../ui/parts";
import { RunRows } from "./runs";

const RECENT = 8;

export function Orchestrator() {
  const { store } = useLive();
  const cluster = useWorld(store, (world) => world.cluster);
  const runs = useWorld(store, (world) => world.runs);
  const { answer: fleet } = usePolled<Fleet>("/api/v1/fleet");
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
      <Pulse />
      <Workers fleet={fleet} />
      <Pools />
      <div className="panel-pair">
        <Queues fleet={fleet} />
        <Recent />
      </div>
      <Panel title="Newest runs" actions={<Link href="/runs">all runs</Link>}>
        <RunRows runs={recent} />
      </Panel>
    </>
  );
}

function MasterCard({ master }: { readonly master: MasterView }) {
  const role = master.is_learner ? "learner" : master.role;
  return (
    <article className={`card master-card role-${master.role}`}>
      <h3>
        <span aria-hidden="true">{master.role === "leader" ? "★" : master.role === "down" ? "✕" : "●"}</span>{" "}
        <code>{master.address}</code> <small>{role}</small>
      </h3>
      <p className="master-marks">
        term <code>{master.term}</code> · applied <code>{master.applied_index}</code> · behind <code>{master.lag}</code>
      </p>
    </article>
  );
}
