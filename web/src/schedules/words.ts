// What schedules are called, for people.

import type { Scheduled } from "../api/types";

export const OVERLAPS: Readonly<Record<string, string>> = {
  allow: "another run may start beside it",
  skip: "this time is skipped",
  queue: "the run waits for the one before it",
  cancel_running: "the run before it is cancelled",
};

export const CATCHUPS: Readonly<Record<string, string>> = {
  none: "missed times stay missed",
  last: "the last missed time is made up for",
  all: "every missed time is made up for",
};

/** The look of an outcome, by the state that looks alike. */
export const OUTCOMES: Readonly<Record<string, string>> = {
  started: "COMPLETED",
  queued: "WAITING",
  skipped: "SKIPPED",
  missed: "CANCELLED",
  failed: "FAILED",
};

export interface Standing {
  readonly state: string; // that looks alike
  readonly label: string;
}

/** How it fares, in a word. */
export function standing({ schedule, upcoming }: Scheduled): Standing {
  if (schedule.is_paused) return { state: "WAITING", label: "paused" };
  if (schedule.backfill_until_ms > 0) return { state: "RUNNING", label: "backfilling" };
  if (upcoming.length === 0) return { state: "SKIPPED", label: "never again" };
  return { state: "COMPLETED", label: "active" };
}

/** "At 02:30 every day", with the zone. */
export function timing({ words, schedule }: Scheduled): string {
  return `${words}, ${schedule.spec.timezone ?? "UTC"}`;
}

/** How many firings a range has, as a person says it. */
export function counted(count: number, more: boolean): string {
  if (more) return `more than ${count} times`;
  return count === 1 ? "once" : `${count} times`;
}
