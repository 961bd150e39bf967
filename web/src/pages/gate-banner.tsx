// A run that waits for a person: what is asked, the form, and the two answers.

import { useEffect, useState } from "react";
import type { Answer, GateView } from "../api/gates";
import type { JobView, Page } from "../api/types";
import { useLive } from "../state/live";
import { useAct } from "../ui/act";
import { InputField, defaults } from "../ui/input-field";
import { dateTime } from "../ui/time";
import { useName, Who } from "../ui/who";

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
  const by = useName();
  const [comment, setComment] = useState("");
  const [answers, setAnswers] = useState<Record<string, Answer>>(() => defaults(gate.form));

  function decide(decision: "approve" | "reject") {
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
          <InputField
            key={name}
            name={name}
            field={field}
            value={answers[name] ?? null}
            onChange={(value) => setAnswers({ ...answers, [name]: value })}
          />
        ))}
        <label>
          comment
          <input value={comment} onChange={(event) => setComment(event.target.value)} />
        </label>
        <div className="actions">
          <Who className="who" prefix="as " />
          <button type="submit" className="primary" disabled={act.isBusy || by === ""} title={by === "" ? "Give your name first" : undefined}>
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
