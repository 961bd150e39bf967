// How states look. Every state has a colour and a sign, so that nobody needs to tell colours apart
// (hues after Okabe and Ito, "Color Universal Design", 2008).

export const JOB_STATES = [
  "PENDING",
  "RUNNING",
  "WAITING",
  "COMPLETED",
  "FAILED",
  "DEAD",
  "CANCELLED",
  "SKIPPED",
] as const;

const SIGNS: Readonly<Record<string, string>> = {
  PENDING: "○",
  RUNNING: "◐",
  WAITING: "‖",
  COMPLETED: "✓",
  FAILED: "✕",
  DEAD: "⊗",
  CANCELLED: "⊘",
  SKIPPED: "⇥",
};

export function signOf(state: string): string {
  return SIGNS[state] ?? "·";
}

export function classOf(state: string): string {
  return `state-${state.toLowerCase()}`;
}

export function isOver(state: string): boolean {
  return !["PENDING", "RUNNING", "WAITING"].includes(state);
}
