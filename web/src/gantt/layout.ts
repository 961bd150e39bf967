// When each attempt ran, as rows and bars: pure numbers, drawn by `gantt.tsx`.

import type { JobView } from "../api/types";
import { isOver } from "../ui/states";

export interface Bar {
  readonly fromMs: number;
  readonly toMs: number; // 0: it still runs
  readonly state: string;
  readonly words: string;
}

export interface Row {
  readonly job: string;
  readonly state: string;
  readonly bars: readonly Bar[];
  readonly startMs: number; // Infinity before its first attempt
}

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** One row per job, in the order in which they began; those that wait come last. */
export function rowsOf(jobs: Iterable<JobView>): readonly Row[] {
  const rows = [...jobs].map(rowOf);
  return rows
    .map((row, at) => ({ row, at }))
    .sort((a, b) => compare(a.row.startMs, b.row.startMs) || a.at - b.at)
    .map(({ row }) => row);
}

function compare(a: number, b: number): number {
  return a === b ? 0 : a < b ? -1 : 1; // Infinity minus itself is no number
}

const known = new WeakMap<JobView, Row>(); // a view never changes: of a large run only new ones are looked at

function rowOf(job: JobView): Row {
  const row = known.get(job) ?? made(job);
  known.set(job, row);
  return row;
}

function made(job: JobView): Row {
  const bars: Bar[] = job.history.map(([attempt, worker, fromMs, toMs, exitCode, cause]) => ({
    fromMs: Number(fromMs),
    toMs: Number(toMs),
    state: cause === "" && exitCode === 0 ? "COMPLETED" : cause === "cancelled" ? "CANCELLED" : "FAILED",
    words: `attempt ${attempt} on ${worker}: ${cause || `exit ${exitCode}`}`,
  }));
  if (job.live !== 0 && job.started_ms > 0 && !isOver(job.state)) {
    bars.push({ fromMs: job.started_ms, toMs: 0, state: job.state, words: `runs on ${job.worker}` });
  }
  return { job: job.id, state: job.state, bars, startMs: bars[0]?.fromMs ?? Infinity };
}

/** From the first beginning to the last end, or to now while something runs. Never empty. */
export function spanOf(rows: readonly Row[], nowMs: number): Span {
  let fromMs = Infinity;
  let toMs = -Infinity;
  for (const row of rows) {
    for (const bar of row.bars) {
      fromMs = Math.min(fromMs, bar.fromMs);
      toMs = Math.max(toMs, bar.toMs === 0 ? Math.max(nowMs, bar.fromMs) : bar.toMs);
    }
  }
  if (fromMs === Infinity) return { fromMs: nowMs, toMs: nowMs + 1000 };
  return { fromMs, toMs: Math.max(toMs, fromMs + 10) };
}

const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 15e3, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5];

/** Round times since the beginning, at most `most` of them. */
export function ticksOf(span: Span, most: number): readonly number[] {
  const lengthMs = span.toMs - span.fromMs;
  const step = STEPS_MS.find((each) => lengthMs / each <= most) ?? Math.ceil(lengthMs / most / 864e5) * 864e5;
  const ticks: number[] = [];
  for (let at = 0; at <= lengthMs; at += step) ticks.push(at);
  return ticks;
}
