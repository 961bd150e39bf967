// Making up for a range of nominal times: how many they are is asked before anything starts.

import { useState } from "react";
import type { Scheduled } from "../api/types";
import { useLive } from "../state/live";
import { Confirm } from "../ui/confirm";
import { fromUtcField, utcField } from "../ui/time";
import { useExplained } from "./explained";
import { counted } from "./words";

const DAY_MS = 86_400_000;

export function Backfill({ scheduled, onClose }: { readonly scheduled: Scheduled; readonly onClose: () => void }) {
  const { client } = useLive();
  const { spec, name } = scheduled.schedule;
  const [from, setFrom] = useState(() => utcField(Date.now() - DAY_MS));
  const [until, setUntil] = useState(() => utcField(Date.now()));
  const [fromMs, untilMs] = [fromUtcField(from), fromUtcField(until)];
  const isRange = fromMs > 0 && untilMs > fromMs;
  const { explained, problem } = useExplained(isRange ? { cron: spec.cron, zone: spec.timezone ?? "UTC", afterMs: fromMs - 1, untilMs } : null);
  const count = explained?.count ?? 0;
  return (
    <Confirm
      title={`Backfill ${name}`}
      verb={explained === null || count === 0 ? "Backfill" : `Backfill: start ${explained.more ? "all of them" : count === 1 ? "1 run" : `${count} runs`}`}
      isDanger={false}
      isReady={isRange && count > 0}
      onClose={onClose}
      act={() => client.change("POST", `/api/v1/schedules/${encodeURIComponent(name)}/backfill`, { from_ms: fromMs, until_ms: untilMs })}
    >
      <p>Every nominal time of the range gets a run, the oldest first, four at a time. Those that have had one get another.</p>
      <div className="pair">
        <label>
          from (UTC)
          <input type="datetime-local" required value={from} onChange={(event) => setFrom(event.target.value)} />
        </label>
        <label>
          until, not included (UTC)
          <input type="datetime-local" required value={until} onChange={(event) => setUntil(event.target.value)} />
        </label>
      </div>
      <p role="status" className={isRange ? "" : "problem"}>
        {!isRange ? "The range ends before it begins." : problem !== "" ? problem : explained === null ? "Counting…" : `It fires ${counted(count, explained.more)} in that range.`}
      </p>
    </Confirm>
  );
}
