// Sparklines as paths: every value is a step as wide as its beat, so that a lone one is seen, too, and nothing is
// drawn where nothing was measured.

export type Values = readonly (number | null)[];

/** The line through `values`, the newest at the right end of `slots` places of one unit; `top` is drawn at 0. */
export function sparkLine(values: Values, slots: number, height: number, top: number): string {
  const shown = values.slice(-slots);
  const parts: string[] = [];
  let isDrawing = false;
  shown.forEach((value, at) => {
    if (value === null) {
      isDrawing = false;
      return;
    }
    const x = slots - shown.length + at;
    const y = round(height - (top > 0 ? Math.min(1, value / top) : 0) * height);
    parts.push(`${isDrawing ? "L" : "M"}${x} ${y}H${x + 1}`);
    isDrawing = true;
  });
  return parts.join("");
}

/** A round number that no value exceeds: 1, 2 or 5 times a power of ten. */
export function ceiling(values: Values): number {
  const most = Math.max(0, ...values.map((value) => value ?? 0));
  if (most === 0) return 0;
  const power = 10 ** Math.floor(Math.log10(most));
  return ([1, 2, 5, 10].find((step) => step * power >= most - 1e-9) ?? 10) * power;
}

export function rates(counts: readonly number[], beatMs: number): readonly number[] {
  return counts.map((count) => (count * 1000) / beatMs);
}

/** The newest value, or null when nothing was measured lately. */
export function newest(values: Values): number | null {
  return values.slice(-3).filter((value) => value !== null).at(-1) ?? null;
}

/** 0.4, 12.3, 1,234: as many digits as a person reads at a glance. */
export function figure(value: number): string {
  if (value === 0) return "0";
  return value.toLocaleString("en", { maximumFractionDigits: value < 1 ? 2 : value < 100 ? 1 : 0 });
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
