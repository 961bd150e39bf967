import { describe, expect, it } from "vitest";
import type { Depth, Fleet, WorkerHealth, WorkerView } from "../src/api/types";
import { ceiling, figure, newest, rates, sparkLine } from "../src/fleet/spark";
import { load, memory, seen, size, standing } from "../src/fleet/words";
import { bodyOf, ordersOf } from "../src/fleet/worker-act";

describe("sparklines", () => {
  it("stand at the right, a step for each value, and nothing where nothing was measured", () => {
    expect(sparkLine([5, 10], 4, 40, 10)).toBe("M2 20H3L3 0H4");
    expect(sparkLine([null, 10, null, 0], 4, 40, 10)).toBe("M1 0H2M3 40H4");
    expect(sparkLine([1, 2, 3], 2, 40, 4)).toBe("M0 20H1L1 10H2"); // only the newest have room
    expect(sparkLine([0, 0], 2, 40, 0)).toBe("M0 40H1L1 40H2");
  });
  it("have a round number on top", () => {
    expect([0, 0.3, 1, 1.1, 23, 70, 1000].map((value) => ceiling([null, value]))).toEqual([0, 0.5, 1, 2, 50, 100, 1000]);
  });
  it("tell the newest value, unless it is old", () => {
    expect(newest([1, 2, null])).toBe(2);
    expect(newest([1, null, null, null])).toBe(null);
    expect(rates([10, 0], 5000)).toEqual([2, 0]);
    expect([0, 0.236, 12.34, 1234.5].map(figure)).toEqual(["0", "0.24", "12.3", "1,235"]);
  });
});

const worker = { id: "w", name: "w", state: "online", resources: { cpu_milli: 2000, memory_mb: 8192 } } as unknown as WorkerView;
const health: WorkerHealth = { worker: "w", last_seen_ms: 1000, load_milli: 1500, memory_free_mb: 2048, disk_free_mb: 51200 };
const fleetAt = (now_ms: number) => ({ now_ms }) as Fleet;

describe("a worker's heartbeat", () => {
  it("is told against what the machine has", () => {
    expect(load(worker, health)).toEqual({ share: 0.75, words: "1.5 on 2 CPUs" });
    expect(memory(worker, health)).toEqual({ share: 0.75, words: "2 of 8 GB free" });
    expect([900, 1536, 51200, 3 << 20].map(size)).toEqual(["900 MB", "1.5 GB", "50 GB", "3 TB"]);
  });
  it("is of this moment, old, or unknown", () => {
    expect(seen(health, fleetAt(2500))).toBe("just now");
    expect(seen(health, fleetAt(16_000))).toBe("15 s ago");
    expect(seen(health, null)).toBe("unknown");
    expect(seen(undefined, fleetAt(1000))).toBe("unknown");
  });
});

describe("orders to a worker", () => {
  it("are those that make sense in its state", () => {
    expect(ordersOf("online")).toEqual(["cordon", "drain", "shut down"]);
    expect(ordersOf("draining")).toEqual(["uncordon", "shut down"]);
    expect(ordersOf("lost")).toEqual([]);
  });
  it("say the mode, and the time in milliseconds", () => {
    expect(bodyOf("uncordon", "")).toEqual({ mode: "open", timeout_ms: null });
    expect(bodyOf("drain", "")).toEqual({ mode: "draining", timeout_ms: null });
    expect(bodyOf("shut down", "0")).toEqual({ mode: "draining", timeout_ms: 0 });
    expect(bodyOf("drain", "1.5")).toEqual({ mode: "draining", timeout_ms: 1500 });
  });
});

describe("a queue", () => {
  it("waits its turn, or for what does not come by itself", () => {
    const sign = (code: string) => standing({ code } as Depth).sign;
    expect(["next", "slots", "capability", "no_workers"].map(sign)).toEqual(["▸", "‖", "!", "!"]);
  });
});
