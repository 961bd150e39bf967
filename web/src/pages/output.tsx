// What a job has put out: JSON indented, other text as it is, of a large one the beginning; all of it to be
// downloaded. Text is set as text.

import { useEffect, useState } from "react";
import type { JobView, OutputView } from "../api/types";
import { useLive } from "../state/live";
import { wordsOf } from "../ui/act";
import { Empty } from "../ui/parts";
import { sizeWords } from "../ui/size";
import { isOver } from "../ui/states";

export function Output({ job }: { readonly job: JobView }) {
  const { client } = useLive();
  const [found, setFound] = useState<OutputView | null>(null);
  const [problem, setProblem] = useState("");
  const path = `/api/v1/runs/${encodeURIComponent(job.run)}/jobs/${encodeURIComponent(job.id)}/output`;
  useEffect(() => {
    let isHere = true;
    client.get<OutputView>(path).then(
      (view) => isHere && setFound(view),
      (error: unknown) => isHere && setProblem(wordsOf(error)),
    );
    return () => {
      isHere = false;
    };
  }, [client, path]);
  if (problem !== "") return <p className="problem">{problem}</p>;
  if (found === null) return <Empty>…</Empty>;
  if (found.kind === "none") return <Empty>It has put out nothing{isOver(job.state) ? "" : " so far"}.</Empty>;
  return (
    <section className="value-view" aria-label={`Output of ${job.id}`}>
      <p className="value-tools">
        <span>
          {found.kind === "bytes" ? "bytes that are no text" : found.kind}, {sizeWords(found.size)}
          {found.is_cut && "; its beginning"}
        </span>
        <a href={`${client.masters.base}${path}/raw`} download={`${job.id}-output`}>
          download
        </a>
      </p>
      {found.kind !== "bytes" && <pre className="value">{found.text}</pre>}
    </section>
  );
}
