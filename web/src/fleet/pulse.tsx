// Throughput and latencies of the last minutes, as the master that serves this page has counted them.

import type { PulseView } from "../api/types";
import { usePolled } from "../state/polled";
import { Empty, Panel } from "../ui/parts";
import { duration } from "../ui/time";
import { ceiling, figure, newest, rates, sparkLine, type Values } from "./spark";

const SHORT = 60; // beats: five minutes, until there is more to show
const LONG = 180;
const HEIGHT = 40;

export function Pulse() {
  const { answer } = usePolled<PulseView>("/api/v1/pulse");
  const beats = answer?.beats ?? [];
  const slots = beats.length > SHORT ? LONG : SHORT;
  const beatMs = answer?.beat_ms ?? 5000;
  const jobs = rates(beats.map((beat) => beat.attempts), beatMs);
  const failed = rates(beats.map((beat) => beat.failed), beatMs);
  const runs = rates(beats.map((beat) => beat.runs_ended), beatMs);
  const waits = beats.map((beat) => beat.wait_p95_ms);
  const commits = beats.map((beat) => beat.commit_p95_ms);
  const leads = commits.some((value) => value !== null);
  return (
    <Panel title="Throughput and latency" actions={<small>the last {(slots * beatMs) / 60_000} minutes</small>}>
      {beats.length === 0 ? (
        <Empty>The first figures come {beatMs / 1000} seconds after a master has started.</Empty>
      ) : (
        <div className="sparks">
          <Spark title="jobs ended" values={jobs} also={failed.map((rate) => rate || null)} slots={slots} words={(rate) => `${figure(rate)} /s`} note={someFailed(failed)} />
          <Spark title="runs ended" values={runs} slots={slots} words={(rate) => `${figure(rate)} /s`} />
          <Spark title="wait for a worker" values={waits} slots={slots} words={duration} note="95 % of first attempts" />
          {leads && <Spark title="commit" values={commits} slots={slots} words={duration} note="95 % of the log's entries" />}
        </div>
      )}
    </Panel>
  );
}

function someFailed(failed: Values): string {
  const rate = newest(failed) ?? 0;
  return rate > 0 ? `✕ ${figure(rate)} /s failed` : "none failed lately";
}

interface Props {
  readonly title: string;
  readonly values: Values;
  readonly also?: Values; // a second line, of what went wrong
  readonly slots: number;
  readonly words: (value: number) => string;
  readonly note?: string;
}

function Spark({ title, values, also, slots, words, note }: Props) {
  const top = ceiling(values.slice(-slots));
  const now = newest(values);
  const line = sparkLine(values, slots, HEIGHT, top);
  return (
    <figure className="spark">
      <figcaption>
        {title} <strong>{now === null ? "–" : words(now)}</strong>
      </figcaption>
      <svg viewBox={`0 -2 ${slots} ${HEIGHT + 4}`} preserveAspectRatio="none" role="img" aria-label={`${title}: ${now === null ? "nothing measured" : words(now)}, at most ${words(top)}`}>
        <path className="spark-ground" d={`M0 ${HEIGHT}H${slots}`} />
        <path className="spark-line" d={line} />
        {also !== undefined && <path className="spark-also" d={sparkLine(also, slots, HEIGHT, top)} />}
      </svg>
      <small>
        <span>{note ?? ""}</span> <span>top {words(top)}</span>
      </small>
    </figure>
  );
}
