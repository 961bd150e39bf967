// What a job was declared to be, as YAML. Loaded when somebody asks for it.

import { useEffect, useState } from "react";
import { stringify } from "yaml";
import type { JobSpec, JobView } from "../api/types";
import { useLive } from "../state/live";
import { wordsOf } from "../ui/act";

export default function Declaration({ job }: { readonly job: JobView }) {
  const { client } = useLive();
  const [spec, setSpec] = useState<JobSpec | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let isHere = true;
    client
      .get<JobSpec>(`/api/v1/runs/${encodeURIComponent(job.run)}/jobs/${encodeURIComponent(job.id)}/spec`)
      .then((found) => isHere && setSpec(found))
      .catch((error: unknown) => isHere && setProblem(wordsOf(error)));
    return () => {
      isHere = false;
    };
  }, [client, job.run, job.id]);
  if (problem !== "") return <p className="problem">{problem}</p>;
  return <pre className="declaration">{spec === null ? "…" : stringify(readable(spec), { lineWidth: 0 })}</pre>;
}

/** Commands travel as bytes, in base64; people read them as text. */
function readable(spec: JobSpec): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...spec };
  for (const name of ["argv", "args"]) {
    const listed = shown[name];
    if (Array.isArray(listed)) shown[name] = listed.map((each) => text(String(each)));
  }
  if (typeof shown["shell"] === "string") shown["shell"] = text(shown["shell"]);
  return shown;
}

function text(base64: string): string {
  return new TextDecoder().decode(Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0)));
}
