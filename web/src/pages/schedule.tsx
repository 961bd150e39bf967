// One schedule: its rules, the next ten times, what became of the last ones, and what a person may do with it.

import { useState } from "react";
import { Link, useLocation } from "wouter";
import type { Firing, Nominal, Scheduled } from "../api/types";
import { Backfill } from "../schedules/backfill";
import { CATCHUPS, OUTCOMES, OVERLAPS, standing, timing } from "../schedules/words";
import { useFollowed, useLive } from "../state/live";
import { useNow } from "../state/now";
import { useAnswer } from "../state/refetched";
import { useWorld } from "../state/store";
import { useAct } from "../ui/act";
import { Confirm } from "../ui/confirm";
import { Empty, Panel, StateBadge } from "../ui/parts";
import { ahead, dateTime, duration } from "../ui/time";
import { schedulePath, When } from "./schedules";

type Asked = "" | "delete" | "backfill";

export function SchedulePage({ name }: { readonly name: string }) {
  const { client } = useLive();
  const [, go] = useLocation();
  const act = useAct();
  const [asked, setAsked] = useState<Asked>("");
  const [started, setStarted] = useState("");
  const path = `/api/v1${schedulePath(name)}`;
  const { answer, missing } = useAnswer<Scheduled>(path, useFollowed("schedules=true"));
  if (missing) return <Empty>There is no schedule {name}.</Empty>;
  if (answer === null) return <Empty>Loading…</Empty>;
  const { schedule } = answer;
  const { state, label } = standing(answer);
  const order = (what: string) => act.run(() => client.change<{ run?: string }>("POST", `${path}/${what}`));
  return (
    <>
      <header className="page-head">
        <h1>{schedule.name}</h1>
        <StateBadge state={state} label={label} />
        <span className="spacer" />
        <div className="actions">
          <button type="button" disabled={act.isBusy} onClick={() => void order(schedule.is_paused ? "resume" : "pause")}>
            {schedule.is_paused ? "Resume" : "Pause"}
          </button>
          <button type="button" disabled={act.isBusy} onClick={() => void order("run").then((done) => setStarted(done?.run ?? ""))}>
            Run now
          </button>
          <button type="button" onClick={() => setAsked("backfill")}>
            Backfill…
          </button>
          <Link href={`${schedulePath(name)}/edit`} className="button">
            Edit
          </Link>
          <button type="button" className="danger" onClick={() => setAsked("delete")}>
            Delete…
          </button>
        </div>
      </header>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      {started !== "" && (
        <p className="notice" role="status">
          Started run <Link href={`/runs/${started}`}>{started}</Link>.
        </p>
      )}
      <Rules scheduled={answer} />
      <Panel title="Next ten firings">
        <Upcoming firings={answer.upcoming} isPaused={schedule.is_paused} jitterMs={schedule.spec.jitter_ms ?? 0} />
      </Panel>
      <Panel title="Recent firings">
        <Firings firings={schedule.firings ?? []} />
      </Panel>
      {asked === "backfill" && <Backfill scheduled={answer} onClose={() => setAsked("")} />}
      {asked === "delete" && (
        <Confirm
          title={`Delete ${schedule.name}`}
          verb="Delete"
          onClose={() => setAsked("")}
          act={() => client.change("DELETE", path)}
          onDone={() => go("/schedules")}
        >
          It fires no more, and its history is forgotten. Runs that it started go on.
        </Confirm>
      )}
    </>
  );
}

function Rules({ scheduled }: { readonly scheduled: Scheduled }) {
  const { schedule } = scheduled;
  const { spec } = schedule;
  const [cluster, index] = [useLive().store, schedule.backfill_until_ms];
  const runs = useWorld(cluster, (world) => world.runs);
  return (
    <section className="panel">
      <dl className="facts">
        <dt>pipeline</dt>
        <dd>
          <Link href={`/dags/new?pipeline=${encodeURIComponent(schedule.pipeline)}`}>{schedule.pipeline}</Link>{" "}
          {schedule.version > 0 ? `version ${schedule.version}` : "the latest version at each firing"}
        </dd>
        <dt>when</dt>
        <dd>
          {timing(scheduled)} <code>{spec.cron}</code>
        </dd>
        <dt>overlap</dt>
        <dd>
          {spec.overlap ?? "allow"}: when the run before has not ended, {OVERLAPS[spec.overlap ?? "allow"]}
        </dd>
        <dt>catchup</dt>
        <dd>
          {spec.catchup ?? "none"}: {CATCHUPS[spec.catchup ?? "none"]}
        </dd>
        {(spec.jitter_ms ?? 0) > 0 && (
          <>
            <dt>jitter</dt>
            <dd>up to {duration(spec.jitter_ms ?? 0)} later</dd>
          </>
        )}
        {Object.keys(schedule.parameters).length > 0 && (
          <>
            <dt>parameters</dt>
            <dd>
              <code>{JSON.stringify(schedule.parameters)}</code>
            </dd>
          </>
        )}
        {schedule.live.length > 0 && (
          <>
            <dt>running</dt>
            <dd>
              {schedule.live.map((run) => (
                <Link key={run} href={`/runs/${run}`} className="about">
                  {runs.get(run)?.name ?? run} <small className="id">{run}</small>
                </Link>
              ))}
            </dd>
          </>
        )}
        {schedule.queued.length > 0 && (
          <>
            <dt>queued</dt>
            <dd>{schedule.queued.map(dateTime).join("; ")}</dd>
          </>
        )}
        {index > 0 && (
          <>
            <dt>backfill</dt>
            <dd>
              done until {dateTime(schedule.backfill_done_ms)} of {dateTime(schedule.backfill_until_ms)}
            </dd>
          </>
        )}
        {schedule.owner !== "" && (
          <>
            <dt>set by</dt>
            <dd>{schedule.owner}</dd>
          </>
        )}
      </dl>
    </section>
  );
}

export function Upcoming({ firings, isPaused, jitterMs }: { readonly firings: readonly Nominal[]; readonly isPaused: boolean; readonly jitterMs: number }) {
  const nowMs = useNow(1000);
  if (firings.length === 0) return <Empty>It never fires again.</Empty>;
  return (
    <>
      {isPaused && <p className="notice">It is paused: these are the times that pass meanwhile.</p>}
      {jitterMs > 0 && <p className="empty">Each up to {duration(jitterMs)} later, by an amount that its time decides.</p>}
      <ol className="upcoming">
        {firings.map((each) => (
          <li key={each.at_ms}>
            <span className="number">{each.local}</span> <span className="word">{ahead(each.at_ms, nowMs)}</span>
            {each.note !== "" && <span className="tag">{each.note}</span>}
          </li>
        ))}
      </ol>
    </>
  );
}

function Firings({ firings }: { readonly firings: readonly Firing[] }) {
  if (firings.length === 0) return <Empty>It has not fired yet.</Empty>;
  return (
    <table className="rows cards-when-narrow">
      <thead>
        <tr>
          <th>nominal time</th>
          <th>outcome</th>
          <th>kind</th>
          <th>run</th>
          <th>decided</th>
          <th>why</th>
        </tr>
      </thead>
      <tbody>
        {[...firings].reverse().map((each, at) => (
          <tr key={`${each.at_ms}-${each.nominal_ms}-${at}`}>
            <td>{dateTime(each.nominal_ms)}</td>
            <td data-label="outcome">
              <StateBadge state={OUTCOMES[each.outcome] ?? ""} label={each.outcome} />
            </td>
            <td data-label="kind" className="word">{each.kind}</td>
            <td data-label="run">{each.run === "" ? "–" : <Link href={`/runs/${each.run}`}>{each.run}</Link>}</td>
            <td data-label="decided">
              <When ms={each.at_ms} words={each.kind === "manual" ? "by hand" : `${duration(Math.max(0, each.at_ms - each.nominal_ms))} after`} />
            </td>
            <td data-label="why">
              {each.why || "–"}
              {each.missed > 0 && ` (${each.missed} times before it were missed)`}
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
