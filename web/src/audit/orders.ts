// Orders of the audit, as people read and look for them.

import type { OrderView } from "../api/types";

export const KINDS = ["run", "job", "gate", "worker", "pool", "service", "pipeline", "schedule", "budget", "artifact", "signal", "key"] as const;

export interface AuditFilter {
  readonly who: string;
  readonly object: string;
  readonly kind: string;
  readonly sinceMs: number;
}

const PAGE = 100;
const THROUGH = ["cli", "sdk", "dashboard", "http"];

export function auditQuery({ who, object, kind, sinceMs }: AuditFilter): string {
  const asked = new URLSearchParams({ limit: String(PAGE) });
  if (who.trim() !== "") asked.set("who", who.trim());
  if (object.trim() !== "") asked.set("object", object.trim());
  if (kind !== "") asked.set("kind", kind);
  if (sinceMs > 0) asked.set("since_ms", String(sinceMs));
  return asked.toString();
}

/** "cli ada@laptop": through what, and who. */
export function splitWho(text: string): { readonly through: string; readonly who: string } {
  const at = text.indexOf(" ");
  const first = text.slice(0, Math.max(0, at));
  return THROUGH.includes(first) ? { through: first, who: text.slice(at + 1) } : { through: "", who: text };
}

/** Where the object is shown; "" for what has no page. */
export function objectLink({ kind, object, action }: Pick<OrderView, "kind" | "object" | "action">): string {
  const [run = "", ...rest] = object.split("/");
  switch (kind) {
    case "run":
      return `/runs/${run}`;
    case "job":
    case "gate":
    case "signal":
      return `/runs/${run}${rest.length > 0 ? `?job=${encodeURIComponent(rest.join("/"))}` : ""}`;
    case "schedule":
      return action === "schedule.delete" ? "" : `/schedules/${encodeURIComponent(object)}`;
    case "pipeline":
      return action === "pipeline.delete" ? "" : `/dags/new?pipeline=${encodeURIComponent(object)}`;
    default:
      return "";
  }
}
