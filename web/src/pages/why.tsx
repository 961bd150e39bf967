// Why a job waits, and the smallest change that would start it: asked for, since the answer costs the leader a look.

import { useState } from "react";
import type { JobView, Why } from "../api/types";
import { useLive } from "../state/live";
import { useAct } from "../ui/act";

export function WhyNot({ job }: { readonly job: JobView }) {
  const { client } = useLive();
  const act = useAct();
  const [why, setWhy] = useState<Why | null>(null);
  const path = `/api/v1/runs/${encodeURIComponent(job.run)}/jobs/${encodeURIComponent(job.id)}/why`;
  if (why === null) {
    return (
      <p className="reason">
        <button type="button" className="quiet" disabled={act.isBusy} onClick={() => void act.run(async () => setWhy(await client.get<Why>(path)))}>
          Why does it wait?
        </button>
        {act.problem}
      </p>
    );
  }
  return (
    <div className="why">
      <p>{why.text}</p>
      {why.change.text !== "" && (
        <p>
          <strong>What would start it:</strong> {why.change.text}
        </p>
      )}
    </div>
  );
}
