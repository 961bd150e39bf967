// How the leader's figures of workers and queues are told.

import type { Depth, Fleet, WorkerHealth, WorkerView } from "../api/types";

const SIGNS: Readonly<Record<string, string>> = { online: "●", cordoned: "‖", draining: "↘", lost: "✕" };
const COLOURS: Readonly<Record<string, string>> = { online: "completed", cordoned: "waiting", draining: "waiting", lost: "failed" };

export function workerSign(state: string): string {
  return SIGNS[state] ?? "·";
}

export function workerClass(state: string): string {
  return `state-${COLOURS[state] ?? "pending"}`;
}

const SOON_MS = 3000; // a heartbeat and the round of this page

/** When the leader last heard the worker; "unknown" while it has not, or when nobody could be asked. */
export function seen(health: WorkerHealth | undefined, fleet: Fleet | null): string {
  if (fleet === null || health === undefined) return "unknown";
  const ms = fleet.now_ms - health.last_seen_ms;
  if (ms < SOON_MS) return "just now";
  const seconds = Math.round(ms / 1000);
  if (seconds < 120) return `${seconds} s ago`;
  return seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

export function load(worker: WorkerView, health: WorkerHealth): { readonly share: number; readonly words: string } {
  const cpus = (worker.resources["cpu_milli"] ?? 0) / 1000;
  const average = health.load_milli / 1000;
  const share = cpus > 0 ? Math.min(1, average / cpus) : 0;
  return { share, words: cpus > 0 ? `${average.toFixed(1)} on ${number(cpus)} CPU${cpus === 1 ? "" : "s"}` : average.toFixed(1) };
}

export function memory(worker: WorkerView, health: WorkerHealth): { readonly share: number; readonly words: string } {
  const all = worker.resources["memory_mb"] ?? 0;
  const free = all > 0 ? Math.min(all, health.memory_free_mb) : health.memory_free_mb;
  if (all === 0) return { share: 0, words: `${size(free)} free` };
  const [amount, unit] = size(free).split(" ");
  const is = size(all).endsWith(` ${unit}`) ? amount : size(free); // the unit once where it is the same
  return { share: 1 - free / all, words: `${is} of ${size(all)} free` };
}

export function size(mb: number): string {
  return mb < 1024 ? `${mb} MB` : mb < 1024 * 1024 ? `${number(mb / 1024)} GB` : `${number(mb / 1024 / 1024)} TB`;
}

function number(value: number): string {
  return value < 10 ? String(Math.round(value * 10) / 10) : String(Math.round(value));
}

/** Whether jobs of a queue wait their turn, or for something that does not come by itself. */
export function standing(depth: Depth): { readonly sign: string; readonly className: string } {
  if (depth.code === "next") return { sign: "▸", className: "state-running" };
  if (PATIENT.has(depth.code)) return { sign: "‖", className: "state-waiting" };
  return { sign: "!", className: "state-failed" };
}

const PATIENT = new Set(["slots", "resources", "attempts", "behind", "affinity", "resting", "port"]);
