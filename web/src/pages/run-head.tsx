// The head of a run's page: its numbers, and what can be done with the run as a whole.

import { Link, useLocation } from "wouter";
import type { RunView, Submitted } from "../api/types";
import { Labels } from "../runs/labels";
import { useLive } from "../state/live";
import type { Act } from "../ui/act";
import { Progress, StateBadge } from "../ui/parts";
import { dateTime, duration } from "../ui/time";

interface Props {
  readonly view: RunView;
  readonly act: Act;
  readonly isEditing: boolean;
  readonly onAdd: () => void;
  readonly onEdit: () => void;
  readonly onStop: () => void;
}

export function RunHead({ view, act, isEditing, onAdd, onEdit, onStop }: Props) {
  const { client } = useLive();
  const [, go] = useLocation();
  async function redeploy() {
    const made = await act.run(() => client.change<Submitted>("POST", `/api/v1/runs/${view.id}/redeploy`));
    if (made !== undefined) go(`/runs/${made.run}`);
  }
  return (
    <header className="run-head">
      <div>
        <h1>{view.name}</h1>
        <small className="id">{view.id}</small>
      </div>
      <StateBadge state={view.state} />
      <Progress counts={view.jobs} />
      <span className="word">
        {dateTime(view.created_ms)} · {view.over ? duration(view.ended_ms - view.created_ms) : "live"}
      </span>
      {view.agent_run_id !== "" && (
        <Link href={`/agents?run=${encodeURIComponent(view.agent_run_id)}`}>agent run {view.agent_run_id}</Link>
      )}
      <Labels labels={view.labels} />
      <span className="spacer" />
      <div className="actions">
        {!view.over && (
          <>
            <button type="button" onClick={onAdd}>
              Add job
            </button>
            {!isEditing && (
              <button type="button" onClick={onEdit} title="Collect changes of this live run and apply them together">
                Change graph
              </button>
            )}
            <button type="button" className="danger" onClick={onStop}>
              Stop
            </button>
          </>
        )}
        <button type="button" onClick={() => void redeploy()} disabled={act.isBusy} title="The same jobs as a new run">
          Redeploy
        </button>
        <Link className="button" href={`/dags/new?run=${view.id}`} title="Edit a copy in the constructor">
          Edit
        </Link>
      </div>
    </header>
  );
}
