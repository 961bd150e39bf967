// A run as a graph that grows: one node per job, or one per level when there are too many to see.

import type { Edge } from "@xyflow/react";
import { memo, useEffect, useMemo, useRef, useState, type RefObject } from "react";
import type { JobView } from "../api/types";
import { useWorld, withFrame, type Store } from "../state/store";
import { sizeOf, type Arrow, type Draft } from "./edits";
import { CROWD } from "./aim";
import { Flow, type Acts, type JobNode } from "./flow";
import { BOXES, SeenContext, type Seen } from "./job-box";
import { layOut, NODE_HEIGHT, NODE_WIDTH, shapeOf, wayFor, type Room, type Spot, type Vertex, type Way } from "./layout";
import { LevelGraph } from "./level-graph";

const SINGLE_MAX = 1_200; // more jobs than this are shown by level

interface Props extends Acts {
  readonly store: Store; // of the run
  readonly jobs: ReadonlyMap<string, JobView>;
  readonly chosen: string;
  readonly filter: string;
  readonly draft: Draft | null; // what is about to be changed
  readonly past: readonly Vertex[] | null; // the graph of an earlier revision, instead of now's
  readonly onLevel: (jobs: ReadonlySet<string>) => void; // those of a level, to be looked at
}

export function RunGraph({ jobs, onLevel, ...same }: Props) {
  if (jobs.size > SINGLE_MAX) return <LevelGraph store={same.store} jobs={jobs} onLevel={onLevel} />;
  return <JobGraph {...same} />;
}

type JobsProps = Omit<Props, "jobs" | "onLevel">;

const JobGraph = memo(function JobGraph(props: JobsProps) {
  const frame = useRef<HTMLDivElement>(null);
  const room = useRoom(frame);
  return (
    <div className="graph-room" ref={frame}>
      {room !== null && <Jobs {...props} room={room} />}
    </div>
  );
});

function Jobs({ store, chosen, filter, draft, past, room, ...others }: JobsProps & { readonly room: Room }) {
  const vertices = useVertices(store, draft, past);
  const way = useMemo(() => wayFor(vertices, room), [vertices, room]);
  const seen = useMemo<Seen>(() => ({ store, way, filter, marks: marksOf(draft) }), [store, way, filter, draft]);
  // Nodes and edges depend on the shape alone. A change of state does not pass through React Flow: each box looks
  // at its own job, so that a batch costs what changed, not what there is.
  const spots = useMemo(() => layOut(vertices, way), [vertices, way]);
  const isCrowd = vertices.length > CROWD;
  const lines = useMemo(() => (isCrowd ? pathOf(vertices, spots, way) : ""), [isCrowd, vertices, spots, way]);
  const edges = useMemo(() => {
    const about = isCrowd ? (draft === null ? "" : chosen) : null; // of a crowd only what may be cut now
    return edgesOf(vertices, draft, about);
  }, [isCrowd, vertices, draft, isCrowd && draft !== null ? chosen : ""]);
  const base = useMemo<JobNode[]>(
    () => vertices.map(({ id }) => ({ id, type: "job", position: spots.get(id) ?? ORIGIN, data: NO_DATA, ...boxOf(way) })),
    [vertices, spots, way],
  );
  const nodes = useMemo(
    () => (chosen === "" ? base : base.map((node) => (node.id === chosen ? { ...node, selected: true } : node))),
    [base, chosen],
  );
  const acts = useRef<Acts>(others);
  acts.current = others;
  return (
    <SeenContext.Provider value={seen}>
      <Flow
        key={way}
        nodes={nodes}
        edges={edges}
        isCrowd={isCrowd}
        isEditing={draft !== null}
        lines={lines}
        shape={base}
        way={way}
        chosen={chosen}
        mayGrow={others.onGrow !== null}
        acts={acts}
      />
    </SeenContext.Provider>
  );
}

const PANEL = 494; // how wide a job's panel is at most, with the gap before it
const SIDE_BY_SIDE = 900; // a narrower window has it below

/** What the canvas has once a job's panel is open, whether it is or not: opening it must not turn the graph. Measured
 * when the window changes, not when something else on the page does, and first a frame after the page has appeared:
 * laying out a large graph is a piece of work of its own. */
function useRoom(frame: RefObject<HTMLDivElement | null>): Room | null {
  const [room, setRoom] = useState<Room | null>(null);
  useEffect(() => {
    const measure = () => {
      const [own, all] = [frame.current, frame.current?.closest(".split")];
      if (own === null || own.clientHeight === 0) return;
      const isBeside = window.innerWidth > SIDE_BY_SIDE && all != null;
      setRoom({ width: isBeside ? Math.max(320, all.clientWidth - PANEL) : own.clientWidth, height: own.clientHeight });
    };
    withFrame(measure);
    window.addEventListener("resize", measure);
    return () => window.removeEventListener("resize", measure);
  }, [frame]);
  return room;
}

function boxOf(way: Way) {
  const { handles, ...box } = BOXES[way];
  return { ...box, handles: [...handles] };
}

/** Jobs and their parents; the same object as long as those are the same. What is drawn or cut moves nothing. */
function useVertices(store: Store, draft: Draft | null, past: readonly Vertex[] | null): readonly Vertex[] {
  const shape = useWorld(store, (world) => world.shape);
  const kept = useRef<{ form: string; vertices: readonly Vertex[] }>({ form: "", vertices: [] });
  const added = draft?.added;
  return useMemo(() => {
    const vertices = past ?? [...store.get().jobs.values(), ...(added ?? [])];
    const form = shapeOf(vertices); // another master may have told everything anew
    if (form !== kept.current.form) kept.current = { form, vertices };
    return kept.current.vertices;
  }, [store, shape, added, past]);
}

/** `about`: only edges of this job, and those that are drawn or cut; null for all. */
function edgesOf(vertices: readonly Vertex[], draft: Draft | null, about: string | null): Edge[] {
  const ids = new Set(vertices.map((vertex) => vertex.id));
  const isCut = new Set(draft?.cut.map(({ parent, child }) => `${parent}>${child}`));
  const edges = vertices.flatMap(({ id, parents }) =>
    parents.flatMap((parent) => {
      const cut = isCut.has(`${parent}>${id}`);
      const isWanted = about === null || about === id || about === parent || cut;
      return isWanted && ids.has(parent) ? [edgeOf({ parent, child: id }, cut ? "is-cut" : "")] : [];
    }),
  );
  const drawn = (draft?.drawn ?? []).filter(({ parent, child }) => ids.has(parent) && ids.has(child));
  return [...edges, ...drawn.map((arrow) => edgeOf(arrow, "is-drawn"))];
}

function edgeOf({ parent, child }: Arrow, className: string): Edge {
  return { id: `${parent}>${child}`, source: parent, target: child, focusable: false, className };
}

function marksOf(draft: Draft | null): ReadonlyMap<string, string> {
  const marks = new Map<string, string>();
  if (draft === null || sizeOf(draft) === 0) return marks;
  for (const job of draft.wishes.keys()) marks.set(job, "change");
  for (const { child } of [...draft.drawn, ...draft.cut]) marks.set(child, "change");
  for (const { id } of draft.added) marks.set(id, "add");
  for (const [job, fate] of draft.fates) marks.set(job, fate);
  return marks;
}

/** All edges as one path: a thousand elements of their own would each be painted anew with every change. */
function pathOf(vertices: readonly Vertex[], spots: ReadonlyMap<string, Spot>, way: Way): string {
  const parts: string[] = [];
  for (const { id, parents } of vertices) {
    const to = spots.get(id);
    if (to === undefined) continue;
    for (const parent of parents) {
      const from = spots.get(parent);
      if (from === undefined) continue;
      if (way === "TB") {
        const [downX, downY] = [from.x + NODE_WIDTH / 2, from.y + NODE_HEIGHT];
        const endX = to.x + NODE_WIDTH / 2;
        const drop = Math.max(20, Math.abs(to.y - downY) / 2);
        parts.push(`M${downX} ${downY}C${downX} ${downY + drop} ${endX} ${to.y - drop} ${endX} ${to.y}`);
        continue;
      }
      const [x, y] = [from.x + NODE_WIDTH, from.y + NODE_HEIGHT / 2];
      const [toX, toY] = [to.x, to.y + NODE_HEIGHT / 2];
      const bend = Math.max(20, Math.abs(toX - x) / 2);
      parts.push(`M${x} ${y}C${x + bend} ${y} ${toX - bend} ${toY} ${toX} ${toY}`);
    }
  }
  return parts.join("");
}

const NO_DATA = {};
const ORIGIN: Spot = { x: 0, y: 0 };
