// Where the jobs of a run stand: layers by dagre, from left to right or from top to bottom, whichever a canvas can
// show larger; cached by the shape of the graph, so that a
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
const GAP = { LR: { layer: 32, within: 12 }, TB: { layer: 34, within: 16 } } as const;
const CROWDED_LAYER = 64; // between the columns of a large graph, which many lines cross
const TURN = 1.15; // so much larger must it be from top to bottom
const SWEEPS = 3;

export function shapeOf(vertices: readonly Vertex[]): string {
  return vertices.map((vertex) => `${vertex.id}<${vertex.parents.join(",")}`).join(";");
}

/** From left to right, or from top to bottom. */
export type Way = "LR" | "TB";

export interface Room {
  readonly width: number;
  readonly height: number;
}

export function layOut(vertices: readonly Vertex[], way: Way = "LR"): ReadonlyMap<string, Spot> {
  return vertices.length > DAGRE_MAX ? layered(vertices, way) : byDagre(vertices, way);
}

/** The way in which the whole is larger in `room`; never larger than life. */
export function wayFor(vertices: readonly Vertex[], room: Room): Way {
  if (vertices.length < 2 || vertices.length > DAGRE_MAX) return "LR";
  const counts: number[] = [];
  for (const level of levelsOf(vertices).values()) counts[level] = (counts[level] ?? 0) + 1;
  const zoom = (way: Way) => {
    const { layer, within } = GAP[way];
    const [along, across] = way === "LR" ? [NODE_WIDTH, NODE_HEIGHT] : [NODE_HEIGHT, NODE_WIDTH];
    const length = counts.length * (along + layer) - layer;
    const breadth = Math.max(...counts) * (across + within) - within;
    return way === "LR" ? zoomFor({ width: length, height: breadth }, room) : zoomFor({ width: breadth, height: length }, room);
  };
  return zoom("TB") > zoom("LR") * TURN ? "TB" : "LR";
}

/** How large something is when all of it is shown in `room`. */
export function zoomFor(what: Room, room: Room): number {
  return Math.min(1, room.width / what.width, room.height / what.height);
}

/** Columns by level, each in the order of the middle of its parents (Sugiyama 1981, barycentres). */
function layered(vertices: readonly Vertex[], way: Way): ReadonlyMap<string, Spot> {
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
    for (const vertex of column) {
      const at = height.get(vertex.id) ?? 0;
      const spot =
        way === "LR"
          ? { x: level * (NODE_WIDTH + CROWDED_LAYER), y: at * (NODE_HEIGHT + GAP.LR.within) }
          : { x: at * (NODE_WIDTH + GAP.TB.within), y: level * (NODE_HEIGHT + CROWDED_LAYER) };
      spots.set(vertex.id, spot);
    }
  });
  return spots;
}

function byDagre(vertices: readonly Vertex[], way: Way): ReadonlyMap<string, Spot> {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: way, nodesep: GAP[way].within, ranksep: GAP[way].layer, ranker: "longest-path" });
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
