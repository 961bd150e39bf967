// A job for a run that is live: its parents may be jobs that have ended, run or wait. While the graph is edited it
// joins the changes that are collected; otherwise it is added at once.

import { useState } from "react";
import type { JobView } from "../api/types";
import { freshId } from "../build/ids";
import { useLive } from "../state/live";
import type { Editing } from "../state/use-edits";
import { useAct } from "../ui/act";
import { Dialog } from "../ui/dialog";

interface Props {
  readonly run: string;
  readonly parent: string;
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly editing: Editing;
  readonly onClose: () => void;
}

export function AddJob({ run, parent, jobs, editing, onClose }: Props) {
  const { client } = useLive();
  const act = useAct();
  const { draft } = editing;
  const [id, setId] = useState(() => freshId(new Set([...jobs.keys(), ...(draft?.added ?? []).map((each) => each.id)]), parent === "" ? "job" : `after-${parent}`.slice(0, 120)));
  const [command, setCommand] = useState("");
  const [parents, setParents] = useState(parent);

  async function add() {
    const above = parents.split(/[\s,]+/).filter((name) => name !== "");
    if (draft !== null) {
      editing.change((old) => ({ ...old, added: [...old.added, { id, command, parents: above }] }));
      onClose();
      return;
    }
    const yaml = JSON.stringify({ name: run, project: false, jobs: [{ id, command, depends_on: above }] }); // JSON is YAML
    const done = await act.run(() => client.change("POST", `/api/v1/runs/${run}/jobs`, { yaml }));
    if (done !== undefined) onClose();
  }
  return (
    <Dialog title="Add a job to this run" onClose={onClose}>
      <form className="stack" onSubmit={(event) => (event.preventDefault(), void add())}>
        <label>
          id
          <input required pattern="[A-Za-z0-9._\-]{1,128}" value={id} onChange={(event) => setId(event.target.value)} />
        </label>
        <label>
          command
          <textarea required rows={3} value={command} onChange={(event) => setCommand(event.target.value)} spellCheck={false} />
        </label>
        <label>
          parents
          <input value={parents} onChange={(event) => setParents(event.target.value)} list="jobs-of-run" spellCheck={false} />
          <datalist id="jobs-of-run">
            {[...jobs.keys()].slice(0, 200).map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </label>
        {act.problem !== "" && <p className="problem">{act.problem}</p>}
        <div className="actions">
          <button type="submit" className="primary" disabled={act.isBusy}>
            Add
          </button>
        </div>
      </form>
    </Dialog>
  );
}
