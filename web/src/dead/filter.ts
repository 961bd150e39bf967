// Which dead letters are wanted, as people and as masters say it.

import type { DeadView } from "../api/types";

const HOUR_MS = 3_600_000;

export const SINCE: readonly (readonly [string, number])[] = [
  ["at any time", 0],
  ["in the last 15 min", HOUR_MS / 4],
  ["in the last hour", HOUR_MS],
  ["in the last day", 24 * HOUR_MS],
  ["in the last week", 168 * HOUR_MS],
];

export interface DeadFilter {
  readonly text: string; // in the name of the run, its pipeline or the job
  readonly reason: string;
  readonly sinceMs: number; // 0: at any time
}

/** "" lets everything through; else it begins with "&". */
export function filterQuery({ text, reason, sinceMs }: DeadFilter): string {
  const asked = new URLSearchParams();
  if (text.trim() !== "") asked.set("text", text.trim());
  if (reason.trim() !== "") asked.set("reason", reason.trim());
  if (sinceMs > 0) asked.set("since_ms", String(sinceMs));
  const query = asked.toString();
  return query === "" ? "" : `&${query}`;
}

/** What the masters' cursor calls it, too. */
export function letterId({ run, job }: Pick<DeadView, "run" | "job">): string {
  return `${run}/${job}`;
}

export function nameOf({ name, job }: DeadView): string {
  return `${job} of ${name}`;
}

/** The first page anew over what was paged in before: nothing twice, and what has left the first page is gone. */
export function joined(first: readonly DeadView[], older: readonly DeadView[]): readonly DeadView[] {
  const known = new Set(first.map(letterId));
  return [...first, ...older.filter((letter) => !known.has(letterId(letter)))];
}
