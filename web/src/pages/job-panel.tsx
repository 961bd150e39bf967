// The job that was clicked: why it waits or how it ended, its attempts, its output.

import type { JobView } from "../api/types";
import { LogView } from "../ui/log-view";
import { StateBadge } from "../ui/parts";
import { isOver } from "../ui/states";
import { clock, duration } from "../ui/time";

interface Props {
  readonly job: JobView;
  readonly onClose: () => void;
  readonly onAct: (path: string) => Promise<void>;
}

export function JobPanel({ job, onClose, onAct }: Props) {
  return (
    <aside className="job-panel" aria-label={`Job ${job.id}`}>
      <header>
        <h2>{job.id}</h2>
        <StateBadge state={job.state} />
        <span className="spacer" />
        <button type="button" onClick={onClose} aria-label="Close">
          ✕
        </button>
      </header>
      {job.reason !== "" && <p className="reason">{job.reason}</p>}
      <div className="actions">
        {isOver(job.state) ? (
          <button type="button" onClick={() => void onAct(`jobs/${job.id}/retry`)}>
            Replay job
          </button>
        ) : (
          <button type="button" className="danger" onClick={() => void onAct(`jobs/${job.id}/cancel`)}>
            Cancel
          </button>
        )}
      </div>
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
              <td>{String(attempt[0])}</td>
              <td>{String(attempt[1])}</td>
              <td>{clock(Number(attempt[2]))}</td>
              <td>{duration(Number(attempt[3]) - Number(attempt[2]))}</td>
              <td>{String(attempt[5] || `exit ${String(attempt[4])}`)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <LogView key={job.attempts} source={{ run: job.run, job: job.id, attempt: 0 }} />
    </aside>
  );
}
