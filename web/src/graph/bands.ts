// Levels of a large run, several to a band when there are more of them than one can look at.

import { levelsOf, type Vertex } from "./layout";

export const BANDS_MAX = 30;

export interface Band {
  readonly first: number; // level
  readonly last: number;
  readonly jobs: readonly string[];
}

export function bandsOf(vertices: readonly Vertex[]): readonly Band[] {
  const levels = levelsOf(vertices);
  let depth = 0;
  for (const level of levels.values()) depth = Math.max(depth, level + 1);
  const size = Math.max(1, Math.ceil(depth / BANDS_MAX));
  const bands = Array.from({ length: Math.ceil(depth / size) }, (_, at) => ({
    first: at * size,
    last: Math.min(depth, (at + 1) * size) - 1,
    jobs: [] as string[],
  }));
  for (const vertex of vertices) bands[Math.floor((levels.get(vertex.id) ?? 0) / size)]?.jobs.push(vertex.id);
  return bands;
}
