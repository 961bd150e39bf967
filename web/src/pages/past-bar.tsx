// An earlier revision that is looked at instead of now: which one, and what has changed since.

import { useEffect, useState } from "react";
import type { Vertex } from "../graph/layout";
import { differences, graphAt, verticesOf } from "../graph/past";
import { useLive } from "../state/live";
import { wordsOf } from "../ui/act";

interface Props {
  readonly run: string;
  readonly revision: number; // that is looked at
  readonly now: number;
  readonly onFound: (vertices: readonly Vertex[]) => void;
  readonly onLeave: () => void;
}

const LINES_SHOWN = 12;

export function PastBar({ run, revision, now, onFound, onLeave }: Props) {
  const { client } = useLive();
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isHere = true;
    Promise.all([graphAt(client, run, revision), graphAt(client, run, 0)]).then(
      ([old, newest]) => {
        if (!isHere) return;
        setLines(differences(old.jobs, newest.jobs));
        onFound(verticesOf(old.jobs));
      },
      (error: unknown) => isHere && setProblem(wordsOf(error)),
    );
    return () => {
      isHere = false;
    };
  }, [client, run, revision, now]);
  return (
    <section className="edit-bar" aria-label={`Revision ${revision}`}>
      <p>
        <strong>The graph as of revision {revision}.</strong> States are those of now.{" "}
        <button type="button" onClick={onLeave}>
          Back to now
        </button>
      </p>
      {problem !== "" && <p className="problem">{problem}</p>}
      {lines !== null && (
        <>
          <p>{lines.length === 0 ? "Nothing has changed since." : "Changed since:"}</p>
          <ul className="edit-lines">
            {lines.slice(0, LINES_SHOWN).map((line) => (
              <li key={line}>
                <code>{line}</code>
              </li>
            ))}
            {lines.length > LINES_SHOWN && <li>and {lines.length - LINES_SHOWN} more</li>}
          </ul>
        </>
      )}
    </section>
  );
}
