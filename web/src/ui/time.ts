// Times for people. Committed times are milliseconds since 1970.

// Made once: a page that says the time with every change would spend more on making these than on the rest.
const CLOCK = new Intl.DateTimeFormat(undefined, { timeStyle: "medium", hour12: false });
const DATE_TIME = new Intl.DateTimeFormat(undefined, {
  year: "numeric",
  month: "numeric",
  day: "numeric",
  hour: "numeric",
  minute: "numeric",
  second: "numeric",
  hour12: false,
});

export function clock(ms: number): string {
  return ms > 0 ? CLOCK.format(ms) : "–";
}

export function dateTime(ms: number): string {
  return ms > 0 ? DATE_TIME.format(ms) : "–";
}

export function duration(ms: number): string {
  if (ms < 0) return "–";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

export function ago(ms: number, nowMs: number): string {
  return ms > 0 ? `${duration(Math.max(0, nowMs - ms))} ago` : "–";
}

/** "in 5 min 3 s", or "now" for what has come. */
export function ahead(ms: number, nowMs: number): string {
  return ms > nowMs ? `in ${duration(ms - nowMs)}` : "now";
}

/** A moment for a field of type datetime-local, in UTC, and back. */
export function utcField(ms: number): string {
  return new Date(ms).toISOString().slice(0, 16);
}

export function fromUtcField(text: string): number {
  return Date.parse(`${text}Z`);
}
