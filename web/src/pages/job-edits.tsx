// What can be changed of one job while a run's graph is edited: nothing happens before the changes are applied.

import { useEffect, useState } from "react";
import type { JobSpec, JobView } from "../api/types";
import { fated, parentsOf, resourcesIn, whyBegun, wished, withoutAdded, wordsOfResources, type Draft, type Wish } from "../graph/edits";
import { useLive } from "../state/live";
import type { Editing } from "../state/use-edits";
import { useAct } from "../ui/act";
import { isOver } from "../ui/states";

interface Props {
  readonly id: string;
  readonly run: string;
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly draft: Draft;
  readonly editing: Editing;
}

const USUAL = ["GENERAL"];

export function JobEdits({ id, run, jobs, draft, editing }: Props) {
  const job = jobs.get(id);
  const begun = whyBegun(jobs, id);
  const fate = draft.fates.get(id);
  const { change } = editing;
  return (
    <section className="job-edits" aria-label={`Changes of ${id}`}>
      {job === undefined ? (
        <button type="button" className="danger" onClick={() => change((old) => withoutAdded(old, id))}>
          Do not add it
        </button>
      ) : (
        <div className="actions">
          <button
            type="button"
            aria-pressed={fate === "skip"}
            disabled={begun !== ""}
            title={begun || "It will not run; its children decide by their triggers"}
            onClick={() => change((old) => fated(old, id, fate === "skip" ? null : "skip"))}
          >
            Skip
          </button>
          <button
            type="button"
            className="danger"
            aria-pressed={fate === "cancel"}
            disabled={isOver(job.state)}
            title="With its descendants"
            onClick={() => change((old) => fated(old, id, fate === "cancel" ? null : "cancel"))}
          >
            Cancel with the rest
          </button>
        </div>
      )}
      {job !== undefined && begun !== "" ? (
        <p className="reason">{begun}: its edges and fields stay as they are.</p>
      ) : (
        <>
          <Parents id={id} jobs={jobs} draft={draft} editing={editing} />
          {job !== undefined && <Wishes key={`${draft.base}`} id={id} run={run} draft={draft} editing={editing} />}
        </>
      )}
    </section>
  );
}

function Parents({ id, jobs, draft, editing }: Omit<Props, "run">) {
  const [more, setMore] = useState("");
  const parents = parentsOf(draft, jobs, id);
  return (
    <form
      className="stack"
      onSubmit={(event) => {
        event.preventDefault();
        editing.draw({ parent: more.trim(), child: id });
        setMore("");
      }}
    >
      <span className="field-name">waits for</span>
      <ul className="chips">
        {parents.map((parent) => (
          <li key={parent}>
            {parent}
            <button type="button" className="quiet" aria-label={`Cut ${parent} → ${id}`} onClick={() => editing.toggle({ parent, child: id })}>
              ✕
            </button>
          </li>
        ))}
        <li>
          <input required value={more} onChange={(event) => setMore(event.target.value)} placeholder="another job" aria-label="Another parent" list="parents-of-run" spellCheck={false} />
          <datalist id="parents-of-run">
            {[...jobs.keys()].slice(0, 200).map((each) => (
              <option key={each} value={each} />
            ))}
          </datalist>
        </li>
      </ul>
    </form>
  );
}

function Wishes({ id, run, draft, editing }: Omit<Props, "jobs">) {
  const { client } = useLive();
  const act = useAct();
  const [spec, setSpec] = useState<JobSpec | null>(null);
  useEffect(() => {
    let isHere = true;
    void act.run(async () => {
      const path = `/api/v1/runs/${encodeURIComponent(run)}/jobs/${encodeURIComponent(id)}/spec`;
      const found = await client.get<JobSpec>(path);
      if (isHere) setSpec(found);
    });
    return () => {
      isHere = false;
    };
  }, [client, run, id]);
  if (spec === null) return <p className="reason">{act.problem || "…"}</p>;
  const wish = draft.wishes.get(id) ?? {};
  const is = {
    requirement: spec.requirement ?? USUAL,
    priority: spec.priority ?? 1,
    resources: spec.resources ?? {},
  };
  function set(next: Wish) {
    const merged: Record<string, unknown> = { ...wish, ...next };
    for (const [name, value] of Object.entries(is)) {
      if (JSON.stringify(merged[name]) === JSON.stringify(value)) delete merged[name]; // as it is: no change
    }
    editing.change((old) => wished(old, id, merged as Wish));
  }
  const words = (text: string) => text.split(/[\s,]+/).filter((each) => each !== "");
  return (
    <div className="stack">
      <Words name="requirement" value={(wish.requirement ?? is.requirement).join(", ")} onSet={(text) => (set({ requirement: words(text) }), "")} />
      <Words
        name="priority"
        value={String(wish.priority ?? is.priority)}
        onSet={(text) => (/^-?\d+$/.test(text.trim()) ? (set({ priority: Number(text) }), "") : "a whole number")}
      />
      <Words
        name="resources"
        value={wordsOfResources(wish.resources ?? is.resources)}
        onSet={(text) => {
          const resources = resourcesIn(text);
          if (resources === null) return "as in slots=2, gpus=1";
          set({ resources });
          return "";
        }}
      />
    </div>
  );
}

interface WordsProps {
  readonly name: string;
  readonly value: string;
  readonly onSet: (text: string) => string; // what is wrong with it, or ""
}

/** A field that takes effect when one leaves it or presses Enter. */
function Words({ name, value, onSet }: WordsProps) {
  const [text, setText] = useState(value);
  const [wrong, setWrong] = useState("");
  useEffect(() => setText(value), [value]);
  return (
    <form onSubmit={(event) => (event.preventDefault(), setWrong(onSet(text)))}>
      <label>
        {name}
        <input value={text} onChange={(event) => setText(event.target.value)} onBlur={() => text !== value && setWrong(onSet(text))} spellCheck={false} aria-invalid={wrong !== ""} />
      </label>
      {wrong !== "" && <small className="wrong">{wrong}</small>}
    </form>
  );
}
