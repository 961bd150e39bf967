// Where the jobs of a run stand: layers from left to right by dagre, cached by the shape of the graph, so that a
// change of state moves nothing and a growing run is laid out again only when it has grown.

import dagre from "@dagrejs/dagre";

export interface Vertex {
  readonly id: string;
  readonly parents: readonly string[];
}

export interface Spot {
  readonly x: number;
  readonly y: number;
}

export const NODE_WIDTH = 176;
export const NODE_HEIGHT = 46;

const DAGRE_MAX = 200; // it takes seconds for a thousand; then layers are enough
const COLUMN = NODE_WIDTH + 64;
const ROW = NODE_HEIGHT + 14;
const SWEEPS = 3;

export function shapeOf(vertices: readonly Vertex[]): string {
  return vertices.map((vertex) => `${vertex.id}<${vertex.parents.join(",")}`).join(";");
}

export function layOut(vertices: readonly Vertex[]): ReadonlyMap<string, Spot> {
  return vertices.length > DAGRE_MAX ? layered(vertices) : byDagre(vertices);
}

/** Columns by level, each in the order of the middle of its parents (Sugiyama 1981, barycentres). */
function layered(vertices: readonly Vertex[]): ReadonlyMap<string, Spot> {
  const levels = levelsOf(vertices);
  const columns: Vertex[][] = [];
  for (const vertex of vertices) (columns[levels.get(vertex.id) ?? 0] ??= []).push(vertex);
  const children = new Map<string, string[]>();
  for (const vertex of vertices) {
    for (const parent of vertex.parents) {
      const listed = children.get(parent);
      if (listed === undefined) children.set(parent, [vertex.id]);
      else listed.push(vertex.id);
    }
  }
  const height = new Map<string, number>();
  const place = (column: readonly Vertex[]) => {
    column.forEach((vertex, at) => height.set(vertex.id, at - (column.length - 1) / 2));
  };
  columns.forEach(place);
  const order = (column: Vertex[], near: (vertex: Vertex) => readonly string[]) => {
    const middle = new Map(
      column.map((vertex) => {
        const heights = near(vertex).flatMap((id) => height.get(id) ?? []);
        const sum = heights.reduce((total, each) => total + each, 0);
        return [vertex.id, heights.length > 0 ? sum / heights.length : (height.get(vertex.id) ?? 0)] as const;
      }),
    );
    column.sort((a, b) => (middle.get(a.id) ?? 0) - (middle.get(b.id) ?? 0));
    place(column);
  };
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) {
    columns.forEach((column) => order(column, (vertex) => vertex.parents));
    [...columns].reverse().forEach((column) => order(column, (vertex) => children.get(vertex.id) ?? []));
  }
  const spots = new Map<string, Spot>();
  columns.forEach((column, level) => {
    for (const vertex of column) spots.set(vertex.id, { x: level * COLUMN, y: (height.get(vertex.id) ?? 0) * ROW });
  });
  return spots;
}

function byDagre(vertices: readonly Vertex[]): ReadonlyMap<string, Spot> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: "LR", nodesep: 14, ranksep: 44, ranker: "longest-path" });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const vertex of vertices) graph.setNode(vertex.id, { width: NODE_WIDTH, height: NODE_HEIGHT });
  for (const vertex of vertices) {
    for (const parent of vertex.parents) if (graph.hasNode(parent)) graph.setEdge(parent, vertex.id);
  }
  dagre.layout(graph);
  const spots = new Map<string, Spot>();
  for (const vertex of vertices) {
    const node = graph.node(vertex.id);
    spots.set(vertex.id, { x: node.x - NODE_WIDTH / 2, y: node.y - NODE_HEIGHT / 2 });
  }
  return spots;
}

/** How deep each job stands: 0 without parents. Any number of jobs, no recursion. */
export function levelsOf(vertices: readonly Vertex[]): ReadonlyMap<string, number> {
  const known = new Map(vertices.map((vertex) => [vertex.id, vertex]));
  const children = new Map<string, string[]>();
  const left = new Map<string, number>();
  for (const vertex of vertices) {
    const parents = vertex.parents.filter((parent) => known.has(parent));
    left.set(vertex.id, parents.length);
    for (const parent of parents) {
      const listed = children.get(parent);
      if (listed === undefined) children.set(parent, [vertex.id]);
      else listed.push(vertex.id);
    }
  }
  const levels = new Map<string, number>();
  const queue = vertices.filter((vertex) => left.get(vertex.id) === 0).map((vertex) => vertex.id);
  for (const id of queue) levels.set(id, 0);
  for (let at = 0; at < queue.length; at += 1) {
    const id = queue[at] as string;
    for (const child of children.get(id) ?? []) {
      levels.set(child, Math.max(levels.get(child) ?? 0, (levels.get(id) ?? 0) + 1));
      const remaining = (left.get(child) ?? 1) - 1;
      left.set(child, remaining);
      if (remaining === 0) queue.push(child);
    }
  }
  return levels;
}
