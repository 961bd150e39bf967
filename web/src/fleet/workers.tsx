// The workers: what each offers, how busy its machine is, what it runs now, and what can be asked of it.

import { useState } from "react";
import { Link } from "wouter";
import type { Fleet, WorkerHealth, WorkerView } from "../api/types";
import { useLive } from "../state/live";
import { useWorld } from "../state/store";
import { Empty, Panel } from "../ui/parts";
import { load, memory, seen, size, workerClass, workerSign } from "./words";
import { WorkerAct, ordersOf, type Order } from "./worker-act";

const SHOWN = 24; // before somebody asks for all
const FILTERED = 8; // more than these can be searched
const JOBS_SHOWN = 4;

export function Workers({ fleet }: { readonly fleet: Fleet | null }) {
  const { store } = useLive();
  const workers = useWorld(store, (world) => world.workers);
  const leader = useWorld(store, (world) => world.cluster?.leader);
  const [text, setText] = useState("");
  const [isWhole, setWhole] = useState(false);
  const [asked, setAsked] = useState<{ readonly worker: string; readonly order: Order } | null>(null);
  const health = new Map(fleet?.workers.map((one) => [one.worker, one]));
  const found = [...workers.values()].filter((worker) => matches(worker, text)).sort(byState);
  const shown = isWhole ? found : found.slice(0, SHOWN);
  const subject = asked === null ? undefined : workers.get(asked.worker);
  return (
    <Panel
      title={`Workers (${workers.size})`}
      actions={
        workers.size > FILTERED && (
          <input type="search" className="panel-search" placeholder="name, state, capability" aria-label="Filter workers" value={text} onChange={(event) => setText(event.target.value)} />
        )
      }
    >
      {workers.size === 0 && (
        <Empty>
          No worker has joined. Start one: <code>titan worker --masters {leader ?? "HOST:PORT"}</code>
        </Empty>
      )}
      <div className="cards worker-cards">
        {shown.map((worker) => (
          <Card key={worker.id} worker={worker} health={health.get(worker.id)} fleet={fleet} onAsk={(order) => setAsked({ worker: worker.id, order })} />
        ))}
      </div>
      {found.length > shown.length && (
        <p className="more">
          <button type="button" onClick={() => setWhole(true)}>
            Show all {found.length}
          </button>
        </p>
      )}
      {asked !== null && subject !== undefined && <WorkerAct worker={subject} order={asked.order} onClose={() => setAsked(null)} />}
    </Panel>
  );
}

interface CardProps {
  readonly worker: WorkerView;
  readonly health: WorkerHealth | undefined;
  readonly fleet: Fleet | null;
  readonly onAsk: (order: Order) => void;
}

function Card({ worker, health, fleet, onAsk }: CardProps) {
  const name = worker.name || worker.id;
  const isKnown = fleet !== null && health !== undefined && worker.state !== "lost";
  const busy = isKnown ? load(worker, health) : null;
  const room = isKnown ? memory(worker, health) : null;
  return (
    <article className={`card worker-card worker-${worker.state}`} aria-label={name}>
      <h3>
        <code>{name}</code>
        <span className={`badge ${workerClass(worker.state)}`}>
          <span aria-hidden="true">{workerSign(worker.state)}</span> {worker.state}
        </span>
      </h3>
      <dl className="vitals">
        <Gauge about="slots" share={worker.slots > 0 ? Math.min(1, worker.running / worker.slots) : 0} words={`${worker.running} of ${worker.slots} taken`} />
        <Gauge about="load" share={busy?.share ?? null} words={busy?.words ?? "unknown"} />
        <Gauge about="memory" share={room?.share ?? null} words={room?.words ?? "unknown"} />
        <dt>disk</dt>
        <dd>{isKnown ? `${size(health.disk_free_mb)} free` : "unknown"}</dd>
        <dt>seen</dt>
        <dd>{seen(health, fleet)}</dd>
      </dl>
      <p className="tags">
        {worker.capabilities.map((tag) => (
          <span key={tag} className="tag">
            {tag}
          </span>
        ))}
        {worker.pool !== "" && <span className="tag">pool {worker.pool}</span>}
      </p>
      <ul className="now">
        {worker.jobs.length === 0 && <li className="idle">{worker.state === "lost" ? "gone" : "idle"}</li>}
        {worker.jobs.slice(0, JOBS_SHOWN).map((job) => (
          <li key={job}>
            <Link href={`/runs/${job.split("/")[0]}`}>{job.split("/").slice(1).join("/")}</Link>
          </li>
        ))}
        {worker.jobs.length > JOBS_SHOWN && <li>and {worker.jobs.length - JOBS_SHOWN} more</li>}
      </ul>
      {ordersOf(worker.state).length > 0 && (
        <p className="orders">
          {ordersOf(worker.state).map((order) => (
            <button key={order} type="button" aria-label={`${order} ${name}`} onClick={() => onAsk(order)}>
              {order}
            </button>
          ))}
        </p>
      )}
    </article>
  );
}

function Gauge({ about, share, words }: { readonly about: string; readonly share: number | null; readonly words: string }) {
  return (
    <>
      <dt>{about}</dt>
      <dd>
        {words}
        <span className="gauge" aria-hidden="true">
          <i className={share !== null && share > 0.9 ? "is-high" : ""} style={{ width: `${100 * (share ?? 0)}%` }} />
        </span>
      </dd>
    </>
  );
}

const ORDER = ["online", "draining", "cordoned", "lost"];

function byState(a: WorkerView, b: WorkerView): number {
  const away = Number(a.state === "lost") - Number(b.state === "lost");
  return away || (a.name || a.id).localeCompare(b.name || b.id, undefined, { numeric: true }) || ORDER.indexOf(a.state) - ORDER.indexOf(b.state);
}

function matches(worker: WorkerView, text: string): boolean {
  const wanted = text.trim().toLowerCase();
  return wanted === "" || [worker.name, worker.id, worker.state, worker.pool, ...worker.capabilities].some((word) => word.toLowerCase().includes(wanted));
}
