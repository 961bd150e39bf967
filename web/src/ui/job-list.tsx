// The jobs of a run as a list: what a graph shows, for the keyboard and for narrow screens. Virtualised.

import { useVirtualizer } from "@tanstack/react-virtual";
import { useMemo, useRef } from "react";
import type { JobView } from "../api/types";
import { Empty, StateBadge } from "./parts";
import { duration } from "./time";

const ROW_HEIGHT = 34;

interface Props {
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly chosen: string;
  readonly filter: string;
  readonly only?: ReadonlySet<string> | null; // of all jobs
  readonly onChoose: (job: string) => void;
}

export function JobList({ jobs, chosen, filter, only = null, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const shown = useMemo(
    () => [...jobs.values()].filter((job) => (filter === "" || job.state === filter) && (only === null || only.has(job.id))),
    [jobs, filter, only],
  );
  const rows = useVirtualizer({
    count: shown.length,
    getScrollElement: () => box.current,
    estimateSize: () => ROW_HEIGHT,
    overscan: 12,
  });
  if (shown.length === 0) return <Empty>No jobs.</Empty>;
  return (
    <div className="job-list" ref={box}>
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {rows.getVirtualItems().map((row) => {
          const job = shown[row.index];
          if (job === undefined) return null;
          return (
            <button
              key={job.id}
              type="button"
              className="job-row"
              aria-pressed={job.id === chosen}
              style={{ transform: `translateY(${row.start}px)` }}
              onClick={() => onChoose(job.id)}
            >
              <StateBadge state={job.state} />
              <span className="name">{job.id}</span>
              <span className="why">{job.reason}</span>
              <span className="took">
                {job.started_ms > 0 && job.ended_ms > 0 ? duration(job.ended_ms - job.started_ms) : ""}
              </span>
            </button>
          );
        })}
      </div>
    </div>
  );
}
