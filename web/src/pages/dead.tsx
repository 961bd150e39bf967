// Dead letters: jobs whose retries are used up, why they died, and running them again: one, the chosen ones, or all that
// the filter lets through.

import { useState } from "react";
import { Link } from "wouter";
import type { DeadView } from "../api/types";
import { Detail } from "../dead/detail";
import { useLetters } from "../dead/letters";
import { filterQuery, letterId, nameOf, SINCE, type DeadFilter } from "../dead/filter";
import { useLive } from "../state/live";
import { useNow } from "../state/now";
import { useAct } from "../ui/act";
import { Confirm } from "../ui/confirm";
import { Empty } from "../ui/parts";
import { ago, dateTime } from "../ui/time";

export function DeadLetters() {
  const { client } = useLive();
  const act = useAct();
  const nowMs = useNow(5000);
  const [filter, setFilter] = useState<DeadFilter>({ text: "", reason: "", sinceMs: 0 });
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const [open, setOpen] = useState("");
  const [isAsking, setAsking] = useState(false);
  const { letters, count, hasMore, more, reload } = useLetters(filter);
  const picked = (letters ?? []).filter((letter) => chosen.has(letterId(letter)));
  const isFiltered = filterQuery(filter) !== "";

  async function replay(those: readonly DeadView[]) {
    const done = await act.run(() =>
      client.change<{ replayed: number }>("POST", "/api/v1/dead/replay", { letters: those.map(({ run, job }) => ({ run, job })) }),
    );
    if (done === undefined) return;
    setChosen(new Set());
    reload();
  }
  const choose = (letter: DeadView, isChosen: boolean) => {
    const next = new Set(chosen);
    if (isChosen) next.add(letterId(letter));
    else next.delete(letterId(letter));
    setChosen(next);
  };

  return (
    <>
      <h1>Dead letters</h1>
      <form className="filters" onSubmit={(event) => event.preventDefault()}>
        <input type="search" placeholder="run, pipeline or job" aria-label="Filter by run, pipeline or job" value={filter.text} onChange={(event) => setFilter({ ...filter, text: event.target.value })} />
        <input type="search" placeholder="reason" aria-label="Filter by reason" value={filter.reason} onChange={(event) => setFilter({ ...filter, reason: event.target.value })} />
        <select
          aria-label="Died since"
          onChange={(event) => {
            const spanMs = Number(event.target.value);
            setFilter({ ...filter, sinceMs: spanMs === 0 ? 0 : Date.now() - spanMs });
          }}
        >
          {SINCE.map(([label, spanMs]) => (
            <option key={label} value={spanMs}>
              {label}
            </option>
          ))}
        </select>
        <span role="status">{count === null ? "…" : `${count} ${isFiltered ? "match" : count === 1 ? "letter" : "letters"}`}</span>
      </form>
      <div className="actions">
        {letters !== null && letters.length > 0 && (
          <label className="pick-all">
            <input
              type="checkbox"
              checked={picked.length === letters.length}
              onChange={(event) => setChosen(new Set(event.target.checked ? letters.map(letterId) : []))}
            />{" "}
            all that are shown
          </label>
        )}
        <button type="button" disabled={act.isBusy || picked.length === 0} onClick={() => void replay(picked)}>
          Replay selected{picked.length > 0 && ` (${picked.length})`}
        </button>
        <button type="button" disabled={act.isBusy || !count} onClick={() => setAsking(true)}>
          {isFiltered ? "Replay all that match…" : "Replay all…"}
        </button>
      </div>
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      {letters === null ? (
        <Empty>Loading…</Empty>
      ) : letters.length === 0 ? (
        <Empty>{isFiltered ? "No dead letter matches." : "No dead letters: no job has used up its retries."}</Empty>
      ) : (
        <table className="rows cards-when-narrow">
          <thead>
            <tr>
              <th />
              <th>job</th>
              <th>run</th>
              <th>why</th>
              <th className="number spare">exit</th>
              <th className="number spare">attempts</th>
              <th>died</th>
              <th />
            </tr>
          </thead>
          <tbody>
            {letters.map((letter) => {
              const id = letterId(letter);
              return (
                <Letter
                  key={id}
                  letter={letter}
                  nowMs={nowMs}
                  isChosen={chosen.has(id)}
                  isOpen={open === id}
                  isBusy={act.isBusy}
                  onChoose={(isChosen) => choose(letter, isChosen)}
                  onOpen={() => setOpen(open === id ? "" : id)}
                  onReplay={() => void replay([letter])}
                />
              );
            })}
          </tbody>
        </table>
      )}
      {hasMore && (
        <button type="button" onClick={() => void act.run(more)} disabled={act.isBusy}>
          Older letters
        </button>
      )}
      {isAsking && <ReplayAll filter={filter} count={count ?? 0} onClose={() => setAsking(false)} onDone={reload} />}
    </>
  );
}

function ReplayAll({ filter, count, onClose, onDone }: { readonly filter: DeadFilter; readonly count: number; readonly onClose: () => void; readonly onDone: () => void }) {
  const { client } = useLive();
  const which = { text: filter.text.trim(), reason: filter.reason.trim(), since_ms: filter.sinceMs };
  async function all() {
    for (;;) {
      const done = await client.change<{ more: boolean }>("POST", "/api/v1/dead/replay", which);
      if (!done.more) return;
    }
  }
  return (
    <Confirm title="Replay dead letters" verb={`Replay ${count}`} isDanger={false} onClose={onClose} onDone={onDone} act={all}>
      <p>
        {count === 1 ? "1 job runs" : `${count} jobs run`} again in {count === 1 ? "its run" : "their runs"}, with what ended because of {count === 1 ? "it" : "them"}
        {filterQuery(filter) === "" ? "." : ", as far as the filter lets them through by then."}
      </p>
    </Confirm>
  );
}

interface LetterProps {
  readonly letter: DeadView;
  readonly nowMs: number;
  readonly isChosen: boolean;
  readonly isOpen: boolean;
  readonly isBusy: boolean;
  readonly onChoose: (isChosen: boolean) => void;
  readonly onOpen: () => void;
  readonly onReplay: () => void;
}

function Letter({ letter, nowMs, isChosen, isOpen, isBusy, onChoose, onOpen, onReplay }: LetterProps) {
  return (
    <>
      <tr aria-selected={isChosen}>
        <td className="pick">
          <input type="checkbox" aria-label={`Select ${nameOf(letter)}`} checked={isChosen} onChange={(event) => onChoose(event.target.checked)} />
        </td>
        <td data-label="job">
          <Link href={`/runs/${letter.run}?job=${encodeURIComponent(letter.job)}`}>{letter.job}</Link>
        </td>
        <td data-label="run">
          <Link href={`/runs/${letter.run}`}>{letter.name}</Link>
          {letter.pipeline !== "" && letter.pipeline !== letter.name && <small> of {letter.pipeline}</small>}
        </td>
        <td data-label="why">{letter.reason}</td>
        <td data-label="exit" className="number spare">
          {letter.exit_code ?? "–"}
        </td>
        <td data-label="attempts" className="number spare">
          {letter.attempts}
        </td>
        <td data-label="died">
          <time title={dateTime(letter.died_ms)}>{ago(letter.died_ms, nowMs)}</time>
        </td>
        <td>
          <div className="actions">
            <button type="button" aria-expanded={isOpen} aria-label={`Output of ${nameOf(letter)}`} onClick={onOpen}>
              Output
            </button>
            <button type="button" aria-label={`Replay ${nameOf(letter)}`} disabled={isBusy} onClick={onReplay}>
              Replay
            </button>
          </div>
        </td>
      </tr>
      {isOpen && (
        <tr className="detail">
          <td colSpan={8}>
            <Detail letter={letter} />
          </td>
        </tr>
      )}
    </>
  );
}
