import { describe, expect, it, vi } from "vitest";
import { bandsOf, BANDS_MAX } from "../src/graph/bands";
import { Store } from "../src/state/store";

const job = (id: string, state: string, parents: readonly string[] = []) => ({ id, state, parents });
const now = (index: number) => ({ kind: "now", data: { index } });

describe("the store", () => {
  it("tells a box of its own job only, and keeps the shape while states change", () => {
    const store = new Store();
    store.take({ kind: "reset", data: {} });
    store.take({ kind: "jobs", data: [job("a", "PENDING"), job("b", "PENDING", ["a"])] });
    store.take(now(1));
    const { shape, jobs } = store.get();
    const [a, b] = [vi.fn(), vi.fn()];
    store.subscribeJob("a", a);
    const leave = store.subscribeJob("b", b);
    store.take({ kind: "jobs", data: [job("a", "RUNNING")] });
    expect(a).not.toHaveBeenCalled(); // before the batch is whole
    store.take(now(2));
    expect(a).toHaveBeenCalledOnce();
    expect(b).not.toHaveBeenCalled();
    expect(store.get().shape).toBe(shape);
    expect(store.get().jobs).not.toBe(jobs);
    expect(store.get().jobs.get("a")?.state).toBe("RUNNING");
    leave();
    store.take({ kind: "reset", data: {} });
    store.take(now(3));
    expect(a).toHaveBeenCalledTimes(2);
    expect(b).not.toHaveBeenCalled();
  });

  it("has another shape when a job comes, goes, or gets other parents", () => {
    const store = new Store();
    const seen = new Set<number>();
    for (const data of [[job("a", "PENDING")], [job("b", "PENDING")], [job("b", "PENDING", ["a"])]]) {
      store.take({ kind: "jobs", data });
      store.take(now(1));
      seen.add(store.get().shape);
    }
    store.take({ kind: "gone", data: [["job", "r", "b"]] });
    store.take(now(2));
    seen.add(store.get().shape);
    expect(seen.size).toBe(4);
    expect([...store.get().jobs.keys()]).toEqual(["a"]);
  });
});

describe("levels of a large run", () => {
  it("are one band each while they are few, and several to a band when they are many", () => {
    const wide = Array.from({ length: 300 }, (_, at) => ({ id: `${at}`, parents: at < 100 ? [] : [`${at - 100}`] }));
    expect(bandsOf(wide).map(({ first, last, jobs }) => [first, last, jobs.length])).toEqual([
      [0, 0, 100],
      [1, 1, 100],
      [2, 2, 100],
    ]);
    const deep = Array.from({ length: 3001 }, (_, at) => ({ id: `${at}`, parents: at === 0 ? [] : [`${at - 1}`] }));
    const bands = bandsOf(deep);
    expect(bands.length).toBeLessThanOrEqual(BANDS_MAX);
    expect(bands.at(-1)?.last).toBe(3000);
    expect(bands.reduce((sum, band) => sum + band.jobs.length, 0)).toBe(3001);
  });
});
