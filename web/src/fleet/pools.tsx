// Pools start workers; nothing is shown of a cluster that has none.

import type { PoolView } from "../api/types";
import { useLive } from "../state/live";
import { useRefetched } from "../state/refetched";
import { useAct } from "../ui/act";
import { Panel } from "../ui/parts";

export function Pools() {
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
