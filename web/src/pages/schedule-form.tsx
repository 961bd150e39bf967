// Setting a schedule: which saved pipeline, when, and what to do when times overlap or were missed. What an expression
// means is said by the masters while it is typed.

import { useState } from "react";
import { useLocation } from "wouter";
import type { Answer } from "../api/gates";
import type { Page, PipelineView, Scheduled, Timing } from "../api/types";
import { name as whoIsHere } from "../api/who";
import { useExplained, wrong } from "../schedules/explained";
import { CATCHUPS, OVERLAPS } from "../schedules/words";
import { useLive } from "../state/live";
import { useAnswer } from "../state/refetched";
import { InputField, defaults } from "../ui/input-field";
import { Empty, Panel } from "../ui/parts";
import { Upcoming } from "./schedule";
import { schedulePath } from "./schedules";

const ZONES: readonly string[] = ["UTC", ...Intl.supportedValuesOf("timeZone").filter((zone) => zone !== "UTC")];

export function EditSchedule({ name }: { readonly name: string }) {
  const { answer, missing } = useAnswer<Scheduled>(`/api/v1${schedulePath(name)}`);
  const [first] = useFirst(answer);
  if (missing) return <Empty>There is no schedule {name}.</Empty>;
  return first === null ? <Empty>Loading…</Empty> : <ScheduleForm name={name} known={first} />;
}

/** What was there when the form opened: a firing meanwhile must not take away what somebody types. */
function useFirst<T>(value: T | null): [T | null] {
  const [first, setFirst] = useState<T | null>(value);
  if (first === null && value !== null) setFirst(value);
  return [first ?? value];
}

export function NewSchedule() {
  return <ScheduleForm name="" known={null} />;
}

function begun(known: Scheduled | null): Timing {
  const spec = known?.schedule.spec;
  return {
    cron: spec?.cron ?? "0 6 * * *",
    timezone: spec?.timezone ?? (known === null ? Intl.DateTimeFormat().resolvedOptions().timeZone : "UTC"),
    catchup: spec?.catchup ?? "none",
    overlap: spec?.overlap ?? "allow",
    jitter: (spec?.jitter_ms ?? 0) / 1000,
    paused: spec?.paused ?? false,
    pipeline: known?.schedule.pipeline ?? "",
    version: known?.schedule.version ?? 0,
    parameters: known?.schedule.parameters ?? {},
    owner: known?.schedule.owner ?? "",
  };
}

function ScheduleForm({ name: known, known: before }: { readonly name: string; readonly known: Scheduled | null }) {
  const { client } = useLive();
  const [, go] = useLocation();
  const [name, setName] = useState(known);
  const [timing, setTiming] = useState(() => begun(before));
  const [problem, setProblem] = useState("");
  const [isBusy, setBusy] = useState(false);
  const pipelines = useAnswer<Page<PipelineView>>("/api/v1/pipelines?limit=1000").answer?.items ?? null;
  const meaning = useExplained({ cron: timing.cron, zone: timing.timezone });
  const set = (part: Partial<Timing>) => setTiming({ ...timing, ...part });
  const pipeline = pipelines?.find((each) => each.name === timing.pipeline);

  async function save() {
    setBusy(true);
    setProblem("");
    try {
      await client.change("PUT", `/api/v1${schedulePath(name)}`, { ...timing, owner: whoIsHere() || timing.owner });
      go(schedulePath(name));
    } catch (error) {
      setProblem(wrong(error));
    } finally {
      setBusy(false);
    }
  }

  return (
    <>
      <h1>{before === null ? "New schedule" : `Edit ${known}`}</h1>
      <div className="halves">
        <form className="panel stack" onSubmit={(event) => (event.preventDefault(), void save())}>
          {before === null && (
            <label>
              name
              <input required maxLength={200} value={name} onChange={(event) => setName(event.target.value)} spellCheck={false} />
            </label>
          )}
          <label>
            pipeline
            <select required value={timing.pipeline} onChange={(event) => set(chosen(pipelines ?? [], event.target.value))}>
              <option value="">{pipelines === null ? "loading…" : pipelines.length === 0 ? "none is saved yet" : "choose one"}</option>
              {timing.pipeline !== "" && pipeline === undefined && <option>{timing.pipeline}</option>}
              {pipelines?.map((each) => <option key={each.name}>{each.name}</option>)}
            </select>
          </label>
          <label>
            version
            <select value={timing.version} onChange={(event) => set({ version: Number(event.target.value) })}>
              <option value={0}>the latest at each firing</option>
              {pipeline?.versions.map((each) => (
                <option key={each} value={each}>
                  {each}
                </option>
              ))}
            </select>
          </label>
          <label>
            cron
            <input required value={timing.cron} onChange={(event) => set({ cron: event.target.value })} spellCheck={false} aria-describedby="cron-means" />
          </label>
          <p id="cron-means" role="status" className={meaning.problem === "" ? "meaning" : "problem"}>
            {meaning.problem || meaning.explained?.words || "…"}
          </p>
          <label>
            time zone
            <input required list="zones" value={timing.timezone} onChange={(event) => set({ timezone: event.target.value })} spellCheck={false} />
          </label>
          <datalist id="zones">
            {ZONES.map((zone) => (
              <option key={zone} value={zone} />
            ))}
          </datalist>
          <Choice label="when the run before has not ended" words={OVERLAPS} value={timing.overlap} onChange={(overlap) => set({ overlap })} />
          <Choice label="times that were missed" words={CATCHUPS} value={timing.catchup} onChange={(catchup) => set({ catchup })} />
          <label>
            jitter, seconds
            <input type="number" min={0} step="any" value={timing.jitter} onChange={(event) => set({ jitter: Number(event.target.value) })} />
          </label>
          {before === null && (
            <label className="check">
              <input type="checkbox" checked={timing.paused} onChange={(event) => set({ paused: event.target.checked })} /> it begins paused
            </label>
          )}
          <Parameters pipeline={pipeline} values={timing.parameters} onChange={(parameters) => set({ parameters })} />
          {problem !== "" && <p className="problem">{problem}</p>}
          <div className="actions">
            <button type="submit" className="primary" disabled={isBusy || meaning.problem !== ""}>
              {before === null ? "Set the schedule" : "Save"}
            </button>
            <button type="button" onClick={() => go(before === null ? "/schedules" : schedulePath(known))}>
              Cancel
            </button>
          </div>
        </form>
        <Panel title="It would fire">
          {meaning.explained === null ? (
            <Empty>{meaning.problem === "" ? "…" : "Never, as it stands."}</Empty>
          ) : (
            <Upcoming firings={meaning.explained.firings} isPaused={false} jitterMs={timing.jitter * 1000} />
          )}
        </Panel>
      </div>
    </>
  );
}

/** The pipeline, its latest version, and the defaults of its parameters. */
function chosen(pipelines: readonly PipelineView[], name: string): Partial<Timing> {
  const found = pipelines.find((each) => each.name === name);
  return { pipeline: name, version: 0, parameters: found === undefined ? {} : defaults(found.inputs) };
}

function Choice({
  label,
  words,
  value,
  onChange,
}: {
  readonly label: string;
  readonly words: Readonly<Record<string, string>>;
  readonly value: string;
  readonly onChange: (value: string) => void;
}) {
  return (
    <label>
      {label}
      <select value={value} onChange={(event) => onChange(event.target.value)}>
        {Object.entries(words).map(([name, meaning]) => (
          <option key={name} value={name}>
            {name}: {meaning}
          </option>
        ))}
      </select>
    </label>
  );
}

function Parameters({
  pipeline,
  values,
  onChange,
}: {
  readonly pipeline: PipelineView | undefined;
  readonly values: Readonly<Record<string, Answer>>;
  readonly onChange: (values: Record<string, Answer>) => void;
}) {
  const inputs = Object.entries(pipeline?.inputs ?? {});
  if (inputs.length === 0) return null;
  return (
    <fieldset className="stack">
      <legend>parameters</legend>
      {inputs.map(([name, field]) => (
        <InputField
          key={name}
          name={name}
          field={field}
          value={values[name] ?? null}
          onChange={(value) => {
            const { [name]: _, ...others } = values;
            onChange(value === null ? others : { ...others, [name]: value });
          }}
        />
      ))}
    </fieldset>
  );
}
