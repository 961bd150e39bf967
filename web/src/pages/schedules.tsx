// Schedules: what is started by the clock, when next, and what became of the last time.

import { useState } from "react";
import { Link } from "wouter";
import type { Scheduled } from "../api/types";
import { OUTCOMES, standing, timing } from "../schedules/words";
import { useFollowed } from "../state/live";
import { useNow } from "../state/now";
import { useWorld } from "../state/store";
import { Empty, StateBadge } from "../ui/parts";
import { ago, ahead, dateTime } from "../ui/time";

export function schedulePath(name: string): string {
  return `/schedules/${encodeURIComponent(name)}`;
}

export function Schedules() {
  const store = useFollowed("schedules=true");
  const schedules = useWorld(store, (world) => world.schedules);
  const isHere = useWorld(store, (world) => world.index > 0);
  const nowMs = useNow(1000);
  const [text, setText] = useState("");
  const wanted = text.trim().toLowerCase();
  const shown = [...schedules.values()]
    .filter(({ schedule }) => `${schedule.name} ${schedule.pipeline}`.toLowerCase().includes(wanted))
    .sort((a, b) => a.schedule.name.localeCompare(b.schedule.name));
  return (
    <>
      <h1>Schedules</h1>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" placeholder="schedule or pipeline" aria-label="Filter schedules" value={text} onChange={(event) => setText(event.target.value)} />
        <span>{shown.length} shown</span>
        <Link href="/schedules/new" className="button">
          New schedule
        </Link>
      </form>
      {shown.length === 0 ? (
        <Empty>{isHere ? "No schedules. A schedule starts a saved pipeline by the clock." : "Loading…"}</Empty>
      ) : (
        <table className="rows cards-when-narrow">
          <thead>
            <tr>
              <th>schedule</th>
              <th>when</th>
              <th>next</th>
              <th>last</th>
              <th>state</th>
              <th title="overlap, catchup" className="spare">
                rules
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((each) => (
              <Row key={each.schedule.name} scheduled={each} nowMs={nowMs} />
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Row({ scheduled, nowMs }: { readonly scheduled: Scheduled; readonly nowMs: number }) {
  const { schedule, next_ms } = scheduled;
  const { state, label } = standing(scheduled);
  const last = schedule.last ?? null;
  return (
    <tr>
      <td>
        <Link href={schedulePath(schedule.name)}>{schedule.name}</Link>
        {schedule.pipeline !== schedule.name && <small> of {schedule.pipeline}</small>}
        {schedule.version > 0 && <small> version {schedule.version}</small>}
      </td>
      <td data-label="when" className="timing">
        {timing(scheduled)} <small className="id">{schedule.spec.cron}</small>
      </td>
      <td data-label="next">{next_ms === null ? "–" : <When ms={next_ms} words={ahead(next_ms, nowMs)} />}</td>
      <td data-label="last">
        {last === null ? (
          "–"
        ) : (
          <>
            <StateBadge state={OUTCOMES[last.outcome] ?? ""} label={last.outcome} />{" "}
            {last.run === "" ? <When ms={last.at_ms} words={ago(last.at_ms, nowMs)} /> : <Link className="word" href={`/runs/${last.run}`}>{ago(last.at_ms, nowMs)}</Link>}
          </>
        )}
      </td>
      <td data-label="state">
        <StateBadge state={state} label={label} />
      </td>
      <td data-label="rules" className="spare">
        overlap {schedule.spec.overlap ?? "allow"}, catchup {schedule.spec.catchup ?? "none"}
      </td>
    </tr>
  );
}

/** How long until then or since, and the moment itself. */
export function When({ ms, words }: { readonly ms: number; readonly words: string }) {
  return (
    <time dateTime={new Date(ms).toISOString()} title={dateTime(ms)} className="when">
      {words} <small>{dateTime(ms)}</small>
    </time>
  );
}
