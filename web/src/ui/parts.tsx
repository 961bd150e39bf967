// Small pieces that several pages share.

import type { ReactNode } from "react";
import { JOB_STATES, classOf, signOf } from "./states";

export function StateBadge({ state, label }: { readonly state: string; readonly label?: string }) {
  return (
    <span className={`badge ${classOf(state)}`}>
      <span aria-hidden="true" className="sign">
        {signOf(state)}
      </span>
      {label ?? state.toLowerCase()}
    </span>
  );
}

export function Progress({ counts }: { readonly counts: Readonly<Record<string, number>> }) {
  const total = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const over = total - (counts["PENDING"] ?? 0) - (counts["RUNNING"] ?? 0) - (counts["WAITING"] ?? 0);
  const order = ["COMPLETED", "SKIPPED", "CANCELLED", "FAILED", "DEAD", "RUNNING", "WAITING"];
  return (
    <div
      className="progress"
      role="progressbar"
      aria-valuemin={0}
      aria-valuemax={total}
      aria-valuenow={over}
      title={`${over} of ${total} jobs have ended`}
    >
      {order.map((state) => {
        const count = counts[state] ?? 0;
        if (count === 0 || total === 0) return null;
        return <i key={state} className={classOf(state)} style={{ width: `${(100 * count) / total}%` }} />;
      })}
    </div>
  );
}

export function Pills({
  counts,
  chosen,
  onChoose,
}: {
  readonly counts: Readonly<Record<string, number>>;
  readonly chosen: string;
  readonly onChoose: (state: string) => void;
}) {
  return (
    <div className="pills" role="group" aria-label="Jobs by state">
      {JOB_STATES.filter((state) => counts[state]).map((state) => (
        <button
          key={state}
          type="button"
          className={`pill ${classOf(state)}`}
          aria-pressed={chosen === state}
          onClick={() => onChoose(chosen === state ? "" : state)}
        >
          <span aria-hidden="true">{signOf(state)}</span> {counts[state]} {state.toLowerCase()}
        </button>
      ))}
    </div>
  );
}

export function Panel({
  title,
  actions,
  children,
}: {
  readonly title: string;
  readonly actions?: ReactNode;
  readonly children: ReactNode;
}) {
  return (
    <section className="panel">
      <header>
        <h2>{title}</h2>
        {actions}
      </header>
      {children}
    </section>
  );
}

export function Empty({ children }: { readonly children: ReactNode }) {
  return <p className="empty">{children}</p>;
}
