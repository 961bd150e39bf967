import { describe, expect, test } from "vitest";
import { EventParser } from "../src/api/stream";
import { layOut, levelsOf } from "../src/graph/layout";
import { Masters } from "../src/api/masters";
import { Store } from "../src/state/store";
import type { RunView } from "../src/api/types";

describe("server-sent events", () => {
  const text = 'event: runs\ndata: [1]\n\n: still here\n\nevent: now\nid: 7\ndata: {"index":7}\n\n';
  test.each([1, 2, 3, 5, 1000])("are the same however the text is cut (%i)", (size) => {
    const seen: unknown[] = [];
    const parser = new EventParser((event) => seen.push([event.kind, event.data, event.id]));
    for (let at = 0; at < text.length; at += size) parser.push(text.slice(at, at + size));
    expect(seen).toEqual([
      ["runs", "[1]", null],
      ["now", '{"index":7}', "7"],
    ]);
  });
});

describe("masters", () => {
  test("the page goes on at the next one, and only once for one failure", () => {
    const masters = new Masters("http://a:1");
    masters.learn(["a:1", "b:2", "c:3"]);
    masters.failed("http://a:1");
    masters.failed("http://a:1");
    expect(masters.base).toBe("http://b:2");
  });
});

describe("the store", () => {
  const run = (state: string): RunView =>
    ({ id: "r", name: "r", state, over: false, created_ms: 1, ended_ms: 0, jobs: {} }) as unknown as RunView;
  test("tells a batch once, when it is complete", () => {
    const store = new Store();
    let told = 0;
    store.subscribe(() => (told += 1));
    store.take({ kind: "runs", data: [run("PENDING")] });
    store.take({ kind: "runs", data: [run("RUNNING")] });
    expect([told, store.get().runs.size]).toEqual([0, 0]);
    store.take({ kind: "now", data: { index: 4 } });
    expect([told, store.get().index, store.get().runs.get("r")?.state]).toEqual([1, 4, "RUNNING"]);
    store.take({ kind: "gone", data: [["run", "r"]] });
    store.take({ kind: "now", data: { index: 5 } });
    expect(store.get().runs.size).toBe(0);
  });
});

test("whole batches wait for a frame together, and half a batch is never told", () => {
  const frames: (() => void)[] = [];
  const store = new Store(undefined, (tell) => frames.push(tell));
  const told: number[] = [];
  store.subscribe(() => told.push(store.get().index));
  for (const index of [1, 2]) store.take({ kind: "now", data: { index } });
  store.take({ kind: "gone", data: [] }); // of the third batch
  frames.shift()?.();
  store.take({ kind: "now", data: { index: 3 } });
  frames.shift()?.();
  expect([told, frames.length]).toEqual([[2, 3], 0]);
});

describe("levels", () => {
  test("follow the longest way and survive 20,000 jobs in a chain", () => {
    const chain = Array.from({ length: 20_000 }, (_, n) => ({ id: `j${n}`, parents: n > 0 ? [`j${n - 1}`] : [] }));
    expect(levelsOf(chain).get("j19999")).toBe(19_999);
    const diamond = [
      { id: "a", parents: [] },
      { id: "b", parents: ["a"] },
      { id: "c", parents: ["a", "b"] },
    ];
    expect([...levelsOf(diamond).values()]).toEqual([0, 1, 2]);
    expect(layOut(diamond).size).toBe(3);
  });
});
