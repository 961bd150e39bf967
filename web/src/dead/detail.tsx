// Why a letter died: its last attempt, and the last lines that it has written.

import { useEffect, useState } from "react";
import { Link } from "wouter";
import type { DeadView } from "../api/types";
import { useLive } from "../state/live";
import { wordsOf } from "../ui/act";
import { Lines } from "../ui/lines";
import { dateTime } from "../ui/time";

const TAIL_BYTES = 4096;
const LINES_SHOWN = 15;

export function Detail({ letter }: { readonly letter: DeadView }) {
  const { client } = useLive();
  const [lines, setLines] = useState<readonly string[] | null>(null);
  const [problem, setProblem] = useState("");
  const path = `/api/v1/runs/${encodeURIComponent(letter.run)}/jobs/${encodeURIComponent(letter.job)}/log?tail_bytes=${TAIL_BYTES}`;
  useEffect(() => {
    let isHere = true;
    client.text(path).then(
      (text) => isHere && setLines(lastLines(text, LINES_SHOWN)),
      (error: unknown) => isHere && setProblem(wordsOf(error)),
    );
    return () => {
      isHere = false;
    };
  }, [client, path]);
  return (
    <div className="letter-detail">
      <p>
        {letter.attempts === 1 ? "Its only attempt" : `The last of ${letter.attempts} attempts`} ended {dateTime(letter.died_ms)}
        {letter.worker !== "" && (
          <>
            {" "}
            on worker <code>{letter.worker}</code>
          </>
        )}
        {letter.exit_code !== null && (
          <>
            {" "}
            with exit code <code>{letter.exit_code}</code>
          </>
        )}
        . <Link href={`/runs/${letter.run}?job=${encodeURIComponent(letter.job)}`}>To the job</Link>
      </p>
      {problem !== "" ? (
        <p className="problem">{problem}</p>
      ) : lines === null ? (
        <p className="empty">Loading…</p>
      ) : lines.length === 0 ? (
        <p className="empty">It has written nothing.</p>
      ) : (
        <pre className="tail">{lines.join("\n")}</pre>
      )}
    </div>
  );
}

/** The end of an output, without the colours, and without a line that was cut in front. */
export function lastLines(text: string, count: number): readonly string[] {
  const lines = new Lines();
  lines.push(text.replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, ""));
  return lines.all().slice(-count);
}
