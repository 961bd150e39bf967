import { describe, expect, test } from "vitest";
import { auditQuery, objectLink, splitWho } from "../src/audit/orders";
import { filterQuery, joined } from "../src/dead/filter";
import { lastLines } from "../src/dead/detail";
import { labelOf, matches, runsPath } from "../src/runs/filter";
import { questionPath } from "../src/schedules/explained";
import { counted, standing } from "../src/schedules/words";
import { EventParser } from "../src/api/stream";
import type { DeadView, Scheduled } from "../src/api/types";
import { Store } from "../src/state/store";
import { ahead, fromUtcField, utcField } from "../src/ui/time";

function scheduled(name: string, more: Partial<Scheduled["schedule"]> = {}): Scheduled {
  const schedule = {
    name,
    spec: { cron: "0 6 * * *" },
    pipeline: name,
    version: 0,
    parameters: {},
    owner: "",
    is_paused: false,
    last_nominal_ms: 0,
    queued: [],
    live: [],
    backfill_until_ms: 0,
    backfill_done_ms: 0,
    ...more,
  } as Scheduled["schedule"];
  return { schedule, words: "At 06:00 every day", next_ms: 1, upcoming: [{ at_ms: 1, local: "", note: "" }] };
}

const letter = (run: string, job: string): DeadView => ({ run, job, name: run, reason: "", exit_code: 1, attempts: 2, worker: "", died_ms: 1, pipeline: "" });

describe("schedules", () => {
  test("come, change and go by push", () => {
    const store = new Store();
    store.take({ kind: "schedules", data: [scheduled("a"), scheduled("b")] });
    store.take({ kind: "schedules", data: [scheduled("b", { is_paused: true })] });
    store.take({ kind: "gone", data: [["schedule", "a"]] });
    store.take({ kind: "now", data: { index: 7 } });
    expect([...store.get().schedules.keys()]).toEqual(["b"]);
    expect(store.get().schedules.get("b")?.schedule.is_paused).toBe(true);
    store.take({ kind: "reset", data: { index: 8 } });
    store.take({ kind: "now", data: { index: 8 } });
    expect(store.get().schedules.size).toBe(0);
  });

  test("say how they fare, the pause before the backfill", () => {
    expect(standing(scheduled("a")).label).toBe("active");
    expect(standing(scheduled("a", { is_paused: true, backfill_until_ms: 5 })).label).toBe("paused");
    expect(standing(scheduled("a", { backfill_until_ms: 5 })).label).toBe("backfilling");
    expect(standing({ ...scheduled("a"), upcoming: [] }).label).toBe("never again");
  });

  test("a range is counted in words", () => {
    expect([counted(1, false), counted(31, false), counted(1000, true)]).toEqual(["once", "31 times", "more than 1000 times"]);
    expect(questionPath({ cron: "*/5 * * * *", zone: "Europe/Berlin", afterMs: 5, untilMs: 9 })).toBe(
      "/api/v1/cron?cron=*%2F5+*+*+*+*&timezone=Europe%2FBerlin&count=10&after_ms=5&until_ms=9",
    );
  });

  test("fields of dates are in UTC, there and back", () => {
    const ms = Date.UTC(2026, 10, 25, 16, 42);
    expect(utcField(ms)).toBe("2026-11-25T16:42");
    expect(fromUtcField(utcField(ms))).toBe(ms);
    expect([ahead(61_000, 1000), ahead(500, 1000)]).toEqual(["in 1 min 0 s", "now"]);
  });
});

describe("dead letters", () => {
  test("the filter goes to the masters, and nothing when there is none", () => {
    expect(filterQuery({ text: " ", reason: "", sinceMs: 0 })).toBe("");
    expect(filterQuery({ text: "a&b", reason: "exit code 3", sinceMs: 9 })).toBe("&text=a%26b&reason=exit+code+3&since_ms=9");
  });

  test("older letters follow the newest ones, none twice", () => {
    const all = joined([letter("r2", "a"), letter("r1", "b")], [letter("r1", "b"), letter("r1", "a")]);
    expect(all.map((each) => `${each.run}/${each.job}`)).toEqual(["r2/a", "r1/b", "r1/a"]);
  });

  test("the end of an output is shown without colours", () => {
    expect(lastLines("cut\n\u001b[31mred\u001b[0m\n 10%\r100%\nlast", 3)).toEqual(["red", "100%", "last"]);
    expect(lastLines("", 3)).toEqual([]);
  });
});

describe("who did what", () => {
  test("through what and who are told apart", () => {
    expect(splitWho("cli ada@laptop")).toEqual({ through: "cli", who: "ada@laptop" });
    expect(splitWho("sdk etl.py ada@laptop")).toEqual({ through: "sdk", who: "etl.py ada@laptop" });
    expect(splitWho("deploy bot")).toEqual({ through: "", who: "deploy bot" });
    expect(splitWho("unknown")).toEqual({ through: "", who: "unknown" });
  });

  test("objects that have a page are links to it", () => {
    expect(objectLink({ kind: "gate", object: "r-1/ask me", action: "gate.decide" })).toBe("/runs/r-1?job=ask%20me");
    expect(objectLink({ kind: "run", object: "r-1", action: "run.cancel" })).toBe("/runs/r-1");
    expect(objectLink({ kind: "schedule", object: "a/b", action: "schedule.pause" })).toBe("/schedules/a%2Fb");
    expect(objectLink({ kind: "schedule", object: "a", action: "schedule.delete" })).toBe("");
    expect(auditQuery({ who: "ada", object: "", kind: "run", sinceMs: 0 })).toBe("limit=100&who=ada&kind=run");
  });

  test("a schedule's push is one event of the stream", () => {
    const seen: string[] = [];
    new EventParser((event) => seen.push(event.kind)).push('event: schedules\ndata: []\n\nevent: now\nid: 3\ndata: {"index":3}\n\n');
    expect(seen).toEqual(["schedules", "now"]);
  });
});

describe("the filter of runs", () => {
  const run = { name: "Nightly load", id: "r-01", agent_run_id: "book-1", labels: { team: "data", q: "a=b c", empty: "" } };

  test.each(["", "nightly", "R-01", "book", "team=data", " team=data ", "team", "q=a=b c", "empty="])("%j finds it", (text) => {
    expect(matches(run, text)).toBe(true);
  });

  test.each(["team=dat", "team=Data", "tea", "data", "=data", "other=", "constructor", "toString=x"])("%j does not", (text) => {
    expect(matches(run, text)).toBe(false);
  });

  test("a label leads to the page that it filters", () => {
    expect(labelOf("a b=c")).toBeNull();
    expect(labelOf("q=a=b c")).toEqual(["q", "a=b c"]);
    const path = runsPath("q=a&b c");
    expect(new URLSearchParams(path.split("?")[1]).get("filter")).toBe("q=a&b c");
    expect(runsPath("")).toBe("/runs");
  });
});
