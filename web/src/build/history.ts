// Undo and redo: whole snapshots, bounded, and steps of the same kind (typing, dragging) taken together.

import type { Spot } from "../graph/layout";

export interface Snapshot {
  readonly text: string;
  readonly spots: Readonly<Record<string, Spot>>; // where people put jobs; others are laid out
  readonly files: Readonly<Record<string, string>>;
  readonly binary: Readonly<Record<string, string>>; // base64
}

export interface History {
  readonly past: readonly Snapshot[];
  readonly now: Snapshot;
  readonly future: readonly Snapshot[];
  readonly tag: string; // of the last change
}

export type Step =
  | { readonly kind: "change"; readonly next: Partial<Snapshot>; readonly tag?: string }
  | { readonly kind: "undo" | "redo" }
  | { readonly kind: "load"; readonly next: Snapshot };

const STEPS_MAX = 200;

export function begin(now: Snapshot): History {
  return { past: [], now, future: [], tag: "" };
}

/** A change with the same non-empty tag as the one before joins it. */
export function stepped(history: History, step: Step): History {
  const { past, now, future } = history;
  switch (step.kind) {
    case "load":
      return begin(step.next);
    case "change": {
      const next = { ...now, ...step.next };
      const tag = step.tag ?? "";
      if (tag !== "" && tag === history.tag) return { past, now: next, future: [], tag };
      return { past: [...past, now].slice(-STEPS_MAX), now: next, future: [], tag };
    }
    case "undo": {
      const last = past.at(-1);
      if (last === undefined) return history;
      return { past: past.slice(0, -1), now: last, future: [now, ...future], tag: "" };
    }
    case "redo": {
      const [first, ...rest] = future;
      if (first === undefined) return history;
      return { past: [...past, now], now: first, future: rest, tag: "" };
    }
  }
}
