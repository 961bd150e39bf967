// The job that was clicked: why it waits or how it ended, its output, its attempts, what it was declared to be.

import { lazy, Suspense, useState } from "react";
import { Link } from "wouter";
import type { JobView } from "../api/types";
import { LogView } from "../ui/log-view";
import { Empty, StateBadge } from "../ui/parts";
import { WhyNot } from "./why";
import { isOver } from "../ui/states";
import { Tabs } from "../ui/tabs";
import { clock, duration } from "../ui/time";

interface Props {
  readonly job: JobView;
  readonly onClose: () => void;
  readonly onAct: (path: string) => Promise<void>;
}

const Declaration = lazy(() => import("./declaration"));
const TABS = ["output", "attempts", "declaration"] as const;

export function JobPanel({ job, onClose, onAct }: Props) {
  const [tab, setTab] = useState<(typeof TABS)[number]>("output");
  const [attempt, setAttempt] = useState(0);
  const path = `jobs/${encodeURIComponent(job.id)}`;
  const isBroken = job.state === "DEAD" || job.state === "FAILED";
  return (
    <aside className="job-panel" aria-label={`Job ${job.id}`}>
      <header>
        <h2>{job.id}</h2>
        <StateBadge state={job.state} />
        <span className="spacer" />
        <button type="button" className="quiet" onClick={onClose} aria-label="Close">
          ✕
        </button>
      </header>
      {job.reason !== "" && <p className="reason">{job.reason}</p>}
      {job.state === "PENDING" && <WhyNot key={job.reason} job={job} />}
      {job.subrun !== undefined && job.subrun !== "" && (
        <p className="reason">
          runs as <Link href={`/runs/${job.subrun}`}>{job.subrun}</Link>
        </p>
      )}
      <div className="actions">
        {isOver(job.state) ? (
          <button
            type="button"
            onClick={() => void onAct(`${path}/retry`)}
            title="Run this job again, and with it what ended because of it"
          >
            {isBroken ? "Replay job" : "Re-run from here"}
          </button>
        ) : (
          <button type="button" className="danger" onClick={() => void onAct(`${path}/cancel`)}>
            Cancel job
          </button>
        )}
      </div>
      <Tabs label="About the job" names={TABS} chosen={tab} onChoose={setTab} />
      {tab === "output" && (
        <>
          {attempt !== 0 && (
            <p className="reason">
              Output of attempt {attempt}.{" "}
              <button type="button" className="quiet" onClick={() => setAttempt(0)}>
                the newest
              </button>
            </p>
          )}
          <LogView key={`${job.attempts}/${attempt}`} source={{ run: job.run, job: job.id, attempt }} />
        </>
      )}
      {tab === "attempts" && <Attempts job={job} onOpen={(each) => (setAttempt(each), setTab("output"))} />}
      {tab === "declaration" && (
        <Suspense fallback={<Empty>…</Empty>}>
          <Declaration job={job} />
        </Suspense>
      )}
    </aside>
  );
}

function Attempts({ job, onOpen }: { readonly job: JobView; readonly onOpen: (attempt: number) => void }) {
  const now = job.live !== 0;
  if (job.history.length === 0 && !now) return <Empty>It has not been tried yet.</Empty>;
  return (
    <table className="rows">
      <thead>
        <tr>
          <th>attempt</th>
          <th>worker</th>
          <th>from</th>
          <th>took</th>
          <th>end</th>
        </tr>
      </thead>
      <tbody>
        {job.history.map((attempt) => (
          <tr key={String(attempt[0])}>
            <td>
              <button type="button" className="quiet" onClick={() => onOpen(Number(attempt[0]))} title="Its output">
                {String(attempt[0])}
              </button>
            </td>
            <td>{String(attempt[1])}</td>
            <td>{clock(Number(attempt[2]))}</td>
            <td className="number">{duration(Number(attempt[3]) - Number(attempt[2]))}</td>
            <td title={String(attempt[6] ?? "")}>{String(attempt[5] || `exit ${String(attempt[4])}`)}</td>
          </tr>
        ))}
        {now && (
          <tr>
            <td>{job.live}</td>
            <td>{job.worker}</td>
            <td>{clock(job.started_ms)}</td>
            <td className="number">…</td>
            <td>runs</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}
