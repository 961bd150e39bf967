// How a run's graph has changed: who, when, what and why; each revision to be looked at, and to be undone.

import { useEffect, useState } from "react";
import type { Revised, RevisionView } from "../api/types";
import { name } from "../api/who";
import { useLive } from "../state/live";
import { useAct, wordsOf } from "../ui/act";
import { Empty } from "../ui/parts";
import { dateTime } from "../ui/time";

interface Props {
  readonly run: string;
  readonly revision: number; // of now
  readonly onLook: (revision: number) => void;
}

export function History({ run, revision, onLook }: Props) {
  const { client } = useLive();
  const act = useAct();
  const [found, setFound] = useState<readonly RevisionView[] | null>(null);
  const [problem, setProblem] = useState("");
  const path = `/api/v1/runs/${encodeURIComponent(run)}/changes`;
  useEffect(() => {
    let isHere = true;
    client.get<RevisionView[]>(path).then(
      (all) => isHere && (setFound(all), setProblem("")),
      (error: unknown) => isHere && setProblem(wordsOf(error)),
    );
    return () => {
      isHere = false;
    };
  }, [client, path, revision]);
  if (problem !== "") return <p className="problem">{problem}</p>;
  if (found === null) return <Empty>…</Empty>;
  if (found.length === 0) return <Empty>Nobody has changed this run's graph.</Empty>;
  const first = found.at(-1);
  const by = name();
  const undo = (each: number) =>
    act.run(() => client.change<Revised>("POST", path, { edits: [{ edit: "undo", revision: each }], by }));
  return (
    <div className="history">
      {act.problem !== "" && <p className="problem">{act.problem}</p>}
      <table className="rows">
        <thead>
          <tr>
            <th className="number">revision</th>
            <th>when</th>
            <th>who</th>
            <th>what</th>
            <th />
          </tr>
        </thead>
        <tbody>
          {found.map((each) => (
            <tr key={each.revision}>
              <td className="number">{each.revision}</td>
              <td>{dateTime(each.at_ms)}</td>
              <td>{each.by || "–"}</td>
              <td>
                {each.edits.map((line, at) => (
                  <div key={at}>{line}</div>
                ))}
                {each.note !== "" && <small>{each.note}</small>}
              </td>
              <td className="row-actions">
                <button type="button" onClick={() => onLook(each.revision)}>
                  Look
                </button>
                <button type="button" disabled={act.isBusy} onClick={() => void undo(each.revision)}>
                  Undo
                </button>
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      {first !== undefined && first.revision > 1 && (
        <button type="button" className="quiet" onClick={() => onLook(first.revision - 1)}>
          Look at the graph before all of them
        </button>
      )}
    </div>
  );
}
