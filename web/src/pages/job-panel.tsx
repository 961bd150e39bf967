// The job that was clicked: why it waits or how it ended, what it printed and put out, the files it left, its
// attempts, what it was declared to be.

import { lazy, Suspense, useState, type ReactNode } from "react";
import { Link } from "wouter";
import type { JobView } from "../api/types";
import { LogView } from "../ui/log-view";
import { Empty, StateBadge } from "../ui/parts";
import { Artifacts } from "./artifacts";
import { Output } from "./output";
import { WhyNot } from "./why";
import { isOver } from "../ui/states";
import { Tabs } from "../ui/tabs";
import { clock, duration } from "../ui/time";

interface Props {
  readonly job: JobView;
  readonly onClose: () => void;
  readonly onAct: (path: string) => Promise<void>;
  readonly children?: ReactNode; // what can be changed of it, while the graph is edited
}

const Declaration = lazy(() => import("./declaration"));
const TABS = ["log", "output", "artifacts", "attempts", "declaration"] as const;

export function JobPanel({ job, onClose, onAct, children }: Props) {
  const [tab, setTab] = useState<(typeof TABS)[number]>("log");
  const [attempt, setAttempt] = useState(0);
  const path = `jobs/${encodeURIComponent(job.id)}`;
  const stamp = `${job.attempts}/${job.state}`; // what it has put out is asked for again when this is another one
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
      {!children && (
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
      )}
      {children}
      <Tabs label="About the job" names={TABS} chosen={tab} onChoose={setTab} />
      {tab === "log" && (
        <>
          {attempt !== 0 && (
            <p className="reason">
              The log of attempt {attempt}.{" "}
              <button type="button" className="quiet" onClick={() => setAttempt(0)}>
                the newest
              </button>
            </p>
          )}
          <LogView key={`${job.attempts}/${attempt}`} source={{ run: job.run, job: job.id, attempt }} />
        </>
      )}
      {tab === "output" && <Output key={stamp} job={job} />}
      {tab === "artifacts" && <Artifacts key={stamp} job={job} />}
      {tab === "attempts" && <Attempts job={job} onOpen={(each) => (setAttempt(each), setTab("log"))} />}
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
          <th className="number">took</th>
          <th className="number">exit</th>
          <th>end</th>
        </tr>
      </thead>
      <tbody>
        {job.history.map((attempt) => (
          <AttemptRow key={String(attempt[0])} attempt={attempt} onOpen={onOpen} />
        ))}
        {now && (
          <tr>
            <td>
              <button type="button" className="quiet" onClick={() => onOpen(job.live)} title="Its log">
                {job.live}
              </button>
            </td>
            <td>{job.worker}</td>
            <td>{clock(job.started_ms)}</td>
            <td className="number">…</td>
            <td />
            <td>runs</td>
          </tr>
        )}
      </tbody>
    </table>
  );
}

/** One that is over: its number, worker, beginning, end, exit code, what ended it, and more words. */
function AttemptRow({ attempt, onOpen }: { readonly attempt: JobView["history"][number]; readonly onOpen: (attempt: number) => void }) {
  const [number, worker, fromMs, toMs, exit, cause, words] = attempt;
  return (
    <tr>
      <td>
        <button type="button" className="quiet" onClick={() => onOpen(Number(number))} title="Its log">
          {String(number)}
        </button>
      </td>
      <td>{String(worker)}</td>
      <td>{clock(Number(fromMs))}</td>
      <td className="number">{duration(Number(toMs) - Number(fromMs))}</td>
      <td className="number">{exit === null ? "–" : String(exit)}</td>
      <td>
        {String(cause || (exit === 0 ? "done" : "failed"))}
        {words !== undefined && words !== "" && <small> {String(words)}</small>}
      </td>
    </tr>
  );
}
