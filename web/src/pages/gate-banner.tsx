// A run that waits for a person: what is asked, the form, and the two answers.

import { useEffect, useState } from "react";
import type { Answer, FormField, GateView } from "../api/gates";
import type { JobView, Page } from "../api/types";
import { useLive } from "../state/live";
import { useAct } from "../ui/act";
import { dateTime } from "../ui/time";

export function GateBanners({ run, jobs }: { readonly run: string; readonly jobs: ReadonlyMap<string, JobView> }) {
  const { client } = useLive();
  const [gates, setGates] = useState<readonly GateView[]>([]);
  const waiting = [...jobs.values()].filter((job) => job.state === "WAITING");
  const stamp = waiting.map((job) => `${job.id}:${job.reason}`).join(";");
  useEffect(() => {
    if (stamp === "") {
      setGates([]);
      return;
    }
    let isHere = true;
    client
      .get<Page<GateView>>(`/api/v1/gates?run=${encodeURIComponent(run)}`)
      .then((page) => isHere && setGates(page.items.filter((gate) => gate.state === "WAITING")))
      .catch(() => undefined); // the jobs say that they wait; asked again when they change
    return () => {
      isHere = false;
    };
  }, [client, run, stamp]);
  return gates.map((gate) => <GateBanner key={gate.id} gate={gate} />);
}

export function GateBanner({ gate }: { readonly gate: GateView }) {
  const { client } = useLive();
  const act = useAct();
  const [by, setBy] = useState(() => localStorage.getItem("who") ?? "");
  const [comment, setComment] = useState("");
  const [answers, setAnswers] = useState<Record<string, Answer>>(() => defaults(gate.form));

  function decide(decision: "approve" | "reject") {
    localStorage.setItem("who", by);
    const word = {
      by,
      role: gate.roles[0] ?? "",
      comment,
      answers: decision === "approve" ? answers : {},
    };
    void act.run(() =>
      client.change("POST", `/api/v1/runs/${gate.run}/gates/${encodeURIComponent(gate.id)}/${decision}`, word),
    );
  }
  return (
    <section className="gate" aria-label={`Gate ${gate.id}`}>
      <header>
        <strong>‖ {gate.message || `${gate.id} waits for a person`}</strong>
        {gate.wanted > 1 && (
          <span>
            {gate.decisions.filter((each) => each.decision === "approve").length} of {gate.wanted} approvals
          </span>
        )}
        {gate.due_ms > 0 && <span>until {dateTime(gate.due_ms)}</span>}
      </header>
      <form onSubmit={(event) => (event.preventDefault(), decide("approve"))}>
        {Object.entries(gate.form).map(([name, field]) => (
          <GateField
            key={name}
            name={name}
            field={field}
            value={answers[name] ?? null}
            onChange={(value) => setAnswers({ ...answers, [name]: value })}
          />
        ))}
        <label>
          your name
          <input required value={by} onChange={(event) => setBy(event.target.value)} />
        </label>
        <label>
          comment
          <input value={comment} onChange={(event) => setComment(event.target.value)} />
        </label>
        <div className="actions">
          <button type="submit" className="primary" disabled={act.isBusy}>
            Approve
          </button>
          <button type="button" className="danger" disabled={act.isBusy || by === ""} onClick={() => decide("reject")}>
            Reject
          </button>
        </div>
      </form>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
    </section>
  );
}

function GateField({
  name,
  field,
  value,
  onChange,
}: {
  readonly name: string;
  readonly field: FormField;
  readonly value: Answer;
  readonly onChange: (value: Answer) => void;
}) {
  const choices = field.choices ?? [];
  const help = field.help ?? "";
  if (choices.length > 0) {
    return (
      <label title={help}>
        {name}
        <select
          required={field.required ?? false}
          value={choices.findIndex((choice) => choice === value)}
          onChange={(event) => onChange(choices[Number(event.target.value)] ?? null)}
        >
          <option value={-1}>–</option>
          {choices.map((choice, at) => (
            <option key={at} value={at}>
              {String(choice)}
            </option>
          ))}
        </select>
      </label>
    );
  }
  if (field.type === "bool") {
    return (
      <label title={help} className="check">
        <input type="checkbox" checked={value === true} onChange={(event) => onChange(event.target.checked)} /> {name}
      </label>
    );
  }
  const isNumber = field.type === "int" || field.type === "float";
  return (
    <label title={help}>
      {name}
      <input
        type={isNumber ? "number" : "text"}
        step={field.type === "int" ? 1 : "any"}
        required={field.required ?? false}
        value={value === null ? "" : String(value)}
        placeholder={help}
        onChange={(event) => {
          const text = event.target.value;
          onChange(text === "" ? null : isNumber ? Number(text) : text);
        }}
      />
    </label>
  );
}

function defaults(form: GateView["form"]): Record<string, Answer> {
  const filled: Record<string, Answer> = {};
  for (const [name, field] of Object.entries(form)) {
    if (field.default !== undefined && field.default !== null) filled[name] = field.default;
    else if (field.type === "bool") filled[name] = false;
  }
  return filled;
}
