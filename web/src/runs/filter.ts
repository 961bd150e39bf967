// Which runs a text in the filter box means: a label, or part of a name, an id or an agent run.

import type { RunView } from "../api/types";

const KEY = /^[A-Za-z0-9._/-]{1,64}$/;

/** `key=value`; null when the text is none. */
export function labelOf(text: string): readonly [string, string] | null {
  const at = text.indexOf("=");
  const key = text.slice(0, at);
  return at > 0 && KEY.test(key) ? [key, text.slice(at + 1)] : null;
}

export function matches(run: Pick<RunView, "name" | "id" | "agent_run_id" | "labels">, text: string): boolean {
  const wanted = text.trim();
  if (wanted === "" || Object.hasOwn(run.labels, wanted)) return true;
  const label = labelOf(wanted);
  if (label !== null && Object.hasOwn(run.labels, label[0]) && run.labels[label[0]] === label[1]) return true;
  return [run.name, run.id, run.agent_run_id].some((word) => word.toLowerCase().includes(wanted.toLowerCase()));
}

/** The page of the runs that the text means; all of them for "". */
export function runsPath(text: string): string {
  return text === "" ? "/runs" : `/runs?filter=${encodeURIComponent(text)}`;
}
