import { expect, test } from "vitest";
import type { JobView } from "../src/api/types";
import { rowsOf, spanOf, ticksOf } from "../src/gantt/layout";

function job(id: string, state: string, more: Partial<JobView> = {}): JobView {
  return {
    run: "r", id, state, reason: "", worker: "w", attempts: 1, retries_used: 0, exit_code: null, parents: [],
    started_ms: 0, ended_ms: 0, live: 0, history: [], ...more,
  } as JobView;
}

test("rows stand in the order in which jobs began, with a bar per attempt", () => {
  const rows = rowsOf([
    job("waits", "PENDING"),
    job("late", "RUNNING", { started_ms: 300, live: 7 }),
    job("first", "COMPLETED", {
      history: [[1, "w1", 100, 150, 3, "", "", 0], [2, "w2", 200, 260, 0, "", "", 0]] as never,
    }),
    job("also waits", "PENDING"),
  ]);
  expect(rows.map((row) => row.job)).toEqual(["first", "late", "waits", "also waits"]);
  expect(rows[0]?.bars.map((bar) => [bar.fromMs, bar.toMs, bar.state])).toEqual([
    [100, 150, "FAILED"],
    [200, 260, "COMPLETED"],
  ]);
  expect(spanOf(rows, 900)).toEqual({ fromMs: 100, toMs: 900 });
  expect(spanOf(rows, 250)).toEqual({ fromMs: 100, toMs: 300 }); // a browser's clock that is behind
  expect(spanOf([], 5)).toEqual({ fromMs: 5, toMs: 1005 });
});

test("ticks are round and never too many", () => {
  expect(ticksOf({ fromMs: 7, toMs: 1007 }, 10)).toEqual([0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000]);
  for (const lengthMs of [1, 999, 61_000, 7_200_000, 4e9]) {
    expect(ticksOf({ fromMs: 0, toMs: lengthMs }, 8).length).toBeLessThanOrEqual(9);
  }
});
