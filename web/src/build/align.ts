// Lining jobs up: pure, on the places of those that are chosen.

import type { Spot } from "../graph/layout";

export type Way = "left" | "top" | "row" | "column";

const GAP = 24;

/** The chosen ones share an edge, or stand evenly in a row or a column; the others stay. */
export function aligned(
  spots: Readonly<Record<string, Spot>>,
  chosen: readonly string[],
  way: Way,
  size: { readonly width: number; readonly height: number },
): Record<string, Spot> {
  const own = chosen.flatMap((id) => (spots[id] ? [{ id, ...spots[id] }] : []));
  if (own.length < 2) return { ...spots };
  const x = Math.min(...own.map((each) => each.x));
  const y = Math.min(...own.map((each) => each.y));
  const next: Record<string, Spot> = { ...spots };
  const sorted = [...own].sort((a, b) => (way === "row" ? a.x - b.x : a.y - b.y));
  sorted.forEach((each, at) => {
    if (way === "left") next[each.id] = { x, y: each.y };
    else if (way === "top") next[each.id] = { x: each.x, y };
    else if (way === "row") next[each.id] = { x: x + at * (size.width + GAP * 2), y };
    else next[each.id] = { x, y: y + at * (size.height + GAP) };
  });
  return next;
}
